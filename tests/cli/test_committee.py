"""`mlp eval` says which networks it scores, and that several are scored as one committee."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlp_cli import Model, SilentObserver, evaluate, load, load_config, train
from mlp_cli.data.dataset import whole
from mlp_cli.errors import ConfigError
from mlp_cli.inference.evaluate import evaluate as evaluate_models
from mlp_cli.reports.text import evaluation_text
from mlp_cli.runs.lock import FolderLock, is_locked
from mlp_cli.runs.state import unfinished
from mlp_cli.storage.checkpoint import load_checkpoint

Mlp = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def runs(config: Path, tmp_path: Path) -> list[Path]:
    """Two runs on the same images, with other seeds."""
    for seed in (1, 2):
        changes = {"training.epochs": seed, "seed": seed}
        train(config, out=tmp_path / f"run-{seed}", set=changes, observer=SilentObserver())
    return [Path("run-1"), Path("run-2")]


@pytest.mark.long
def test_a_committee_is_called_one_and_its_members_are_named(
    runs: list[Path], mlp: Mlp, tmp_path: Path
) -> None:
    done = mlp("eval", runs[0], "run-2/last.npz")
    assert (done.returncode, done.stderr) == (0, "")
    data = load(tmp_path / runs[0]).data.name
    assert " ".join(done.stdout.split()).startswith(
        "committee of 2, one score for all together: "
        f"run-1/best.npz: epoch 1, trained on {data} "
        f"run-2/last.npz: epoch 2, trained on {data} "
        "(the mean of their log-probabilities; for single scores, give one at a time) "
    )
    long = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert all(line.strip() == data or line.startswith(data) for line in long)


@pytest.mark.long
def test_a_single_network_is_named_and_is_no_committee(runs: list[Path], mlp: Mlp) -> None:
    done = mlp("eval", runs[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("run-1/best.npz: epoch 1, trained on")
    assert "committee" not in done.stdout


@pytest.mark.long
def test_json_lists_the_members_beside_the_keys_that_it_had(
    runs: list[Path], mlp: Mlp, tmp_path: Path
) -> None:
    found = json.loads(mlp("eval", *runs, "--json").stdout)
    data = load(tmp_path / runs[0]).data.name
    assert found["members"] == [
        {"checkpoint": "run-1/best.npz", "epoch": 1, "dataset": data},
        {"checkpoint": "run-2/best.npz", "epoch": load(tmp_path / "run-2").epoch, "dataset": data},
    ]
    assert set(found) - {"members"} == {
        "dataset", "split", "checkpoint", "n", "errors", "accuracy", "error_ci95", "loss",
        "per_class", "confusion",
    }  # fmt: skip


@pytest.mark.long
def test_networks_of_different_data_are_scored_with_a_warning(
    config: Path, mlp: Mlp, tmp_path: Path
) -> None:
    images = Path(str(load_config(config).data.path))
    other = shutil.copytree(images, tmp_path / "other")
    labels = other / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    for name, changes in (("a", {}), ("b", {"data.path": str(other)})):
        short = {"training.epochs": 1, **changes}
        train(config, out=tmp_path / name, set=short, observer=SilentObserver())
    done = mlp("eval", "a", "b", "--json")
    assert done.returncode == 0
    assert done.stderr == (
        f"WARNING: These networks were trained on different data: {images}, {other}.\n"
        f"All are scored on {images}, the data of the first.\n"
    )


@pytest.mark.long
def test_the_same_data_in_another_folder_are_no_different_data(
    config: Path, mlp: Mlp, tmp_path: Path
) -> None:
    images = Path(str(load_config(config).data.path))
    copied = shutil.copytree(images, tmp_path / "copied")
    for name, folder in (("a", images), ("b", copied)):
        short = {"training.epochs": 1, "data.path": folder}
        train(config, out=tmp_path / name, set=short, observer=SilentObserver())
    done = mlp("eval", "a", "b")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
def test_a_run_that_is_still_training_or_was_stopped_is_said_to_be(
    config: Path, mlp: Mlp, tmp_path: Path
) -> None:
    endless = ["--set", "training.epochs=100000", "--out", "run", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlp_cli", "train", config, *endless],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not (tmp_path / "run" / "best.npz").exists():
            assert process.poll() is None
            time.sleep(0.02)
        for path in ("run", "run/last.npz"):
            done = mlp("eval", path)
            assert done.returncode == 0
            message = "WARNING: run is still training, so this is not its final network.\n"
            assert done.stderr == message
        assert process.poll() is None  # looking at the lock has not disturbed it
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
    done = mlp("eval", "run", "run/best.npz", "--json")
    assert done.returncode == 0
    assert done.stderr == (
        "WARNING: run has not finished its training, so this is not its final network. "
        "To go on:\nmlp train --resume --out run\n"
    )


@pytest.mark.long
def test_only_the_network_of_an_unfinished_run_is_unfinished(
    runs: list[Path], tmp_path: Path
) -> None:
    run = tmp_path / runs[0]
    assert unfinished(run) == unfinished(run / "last.npz") == ""
    (run / "result.json").unlink()
    assert "has not finished its training" in unfinished(run)
    (run / "env.json").unlink()
    assert "has not finished its training" in unfinished(run / "best.npz")
    (run / "divergence.json").write_text("{}")
    assert "diverged" in unfinished(run)
    (tmp_path / "alone").mkdir()
    shutil.copy(run / "best.npz", tmp_path / "alone")
    assert unfinished(tmp_path / "alone") == unfinished(tmp_path / "alone" / "best.npz") == ""
    assert unfinished(tmp_path / "none") == ""


@pytest.mark.long
def test_a_look_at_the_lock_does_not_stop_a_training(tmp_path: Path) -> None:
    look = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH | fcntl.LOCK_NB)
    threading.Timer(0.02, os.close, (look,)).start()
    with FolderLock(tmp_path).held() as exclusive:
        assert exclusive
        assert is_locked(tmp_path)
        with pytest.raises(ConfigError), FolderLock(tmp_path).held():
            pass
    assert not is_locked(tmp_path)


@pytest.mark.long
def test_a_model_and_an_evaluation_say_in_one_line_what_they_are(
    runs: list[Path], tmp_path: Path, config: Path
) -> None:
    model = load(tmp_path / runs[0])
    assert repr(model) == (
        f"<Model 64-16-10, relu, epoch 1, trained on {model.data.name}, "
        f"from {tmp_path / 'run-1' / 'best.npz'}>"
    )
    flat = {"model.hidden": [], "training.epochs": 1}
    run = train(config, out=tmp_path / "a\nb", set=flat, observer=SilentObserver())
    assert repr(run.model()).startswith("<Model 64-10, epoch 1, trained on ")
    assert "\n" not in repr(run.model())
    evaluation = evaluate(run)
    assert repr(evaluation) == (
        rf"<Evaluation of {tmp_path}/a\nb/best.npz: "
        f"{evaluation.errors} errors in 150 images, {model.data.name} test>"
    )


@pytest.mark.long
def test_a_network_whose_epoch_is_unknown_is_named_without_it(
    runs: list[Path], tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(tmp_path / runs[0] / "best.npz")
    checkpoint.header.pop("state")
    model = Model(checkpoint)
    assert "epoch ?, trained on" in repr(model)
    images = np.zeros((10, 64), np.uint8)
    split = whole(images, np.arange(10, dtype=np.uint8))
    text = evaluation_text(evaluate_models([model], split, (model.data.name, "test")))
    assert "best.npz: epoch ?, trained" in " ".join(text.split())


@pytest.mark.long
def test_the_line_that_continues_an_unfinished_run_works_when_pasted(
    config: Path, mlp: Mlp, tmp_path: Path
) -> None:
    short = {"training.epochs": 1}
    train(config, out=tmp_path / "a run", set=short, observer=SilentObserver())
    (tmp_path / "a run" / "result.json").unlink()
    line = mlp("eval", "a run").stderr.splitlines()[-1]
    program, *arguments = shlex.split(line)
    assert program == "mlp"
    assert mlp(*arguments).returncode == 0
    assert mlp("eval", "a run").stderr == ""
