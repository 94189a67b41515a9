"""Training, scoring and checking from Python do the same as the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import KERNELS
from helpers.runs import assert_same_run
from helpers.selection import few

import mlp_cli
from mlp_cli import (
    Config,
    MlpError,
    Run,
    SilentObserver,
    check_gradient,
    evaluate,
    load,
    load_config,
    train,
)

ROOT = Path(__file__).parents[1]
Mlp = Callable[..., subprocess.CompletedProcess[str]]
SILENT = SilentObserver()


def test_every_exported_name_exists() -> None:
    for name in mlp_cli.__all__:
        assert getattr(mlp_cli, name) is not None
    assert dir(mlp_cli) == sorted(mlp_cli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'tran'"):
        _ = mlp_cli.tran


def test_a_file_a_mapping_and_a_config_train_the_same_run(config: Path, tmp_path: Path) -> None:
    checked = load_config(config)
    runs = [
        train(given, out=tmp_path / str(i), observer=SILENT)
        for i, given in enumerate((config, str(config), checked, checked.to_dict()))
    ]
    for run in runs[1:]:
        assert_same_run(runs[0].path, run.path)
    assert runs[0].result is not None
    assert [record["epoch"] for record in runs[0].metrics] == [1, 2, 3]


@pytest.mark.parametrize("kernels", [kind.name.split()[0] for kind in KERNELS])
@pytest.mark.parametrize("threads", few([2, 1], 2))
def test_a_process_that_has_loaded_numpy_trains_to_the_same_bits_as_the_command(
    threads: int, kernels: str, mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    kernels = {"numba": "fast"}.get(kernels, kernels)
    width = ["--set", "model.hidden=[200, 100]"]
    done = mlp(
        "train", config, *width, "--out", "a", "--threads", threads, "--quiet", MLP_KERNELS=kernels
    )
    assert done.returncode == 0, done.stderr
    code = (
        "import os, numpy as np\n"
        "a = np.ones((500, 500)); a @ a\n"  # BLAS has started its threads
        "from threadpoolctl import threadpool_info\n"
        "from mlp_cli import SilentObserver, train\n"
        "class Seen(SilentObserver):\n"
        "    def epoch(self, metrics, epochs):\n"
        "        pools = [p for p in threadpool_info() if p['user_api'] == 'blas']\n"
        "        assert pools and all(p['num_threads'] == 1 for p in pools), pools\n"
        f"run = train({str(config)!r}, out='b', threads={threads}, kernels={kernels!r},\n"
        "    set={'model.hidden': [200, 100]}, observer=Seen())\n"
        "assert run.result['epochs'] == 3"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")
    }
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "2"},
        check=True,
    )
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_changes_from_python_are_checked_like_those_of_the_command(config: Path) -> None:
    with pytest.warns(UserWarning, match=r"0.5 is far above the usual rates of adam"):
        changed = load_config(
            config,
            set={
                "training.epochs": np.int64(7),
                "optimizer": {"learning_rate": np.float32(0.5)},
                "model.hidden": (9, 8),
                "data.path": config.parent,
            },
        )
    assert (changed.training.epochs, changed.model.hidden) == (7, (9, 8))
    assert changed.optimizer.name == "adam"
    assert changed.optimizer.learning_rate == 0.5
    assert changed.data.path == str(config.parent)
    with pytest.raises(MlpError) as caught:
        load_config(config, set={"training.epochs": "x", "no.such": 1, "": 2, "seed": float("nan")})
    lines = str(caught.value).splitlines()
    assert lines[0].endswith(": 4 faults.")
    assert all(line.strip().startswith("set ") for line in lines[1:])


def test_a_given_mapping_is_not_changed(config: Path) -> None:
    given = load_config(config).to_dict()
    before = json.dumps(given)
    load_config(given, set={"model.hidden": [3], "training": {"epochs": 9}})
    assert json.dumps(given) == before


def test_the_run_that_train_returns_can_be_scored_loaded_and_resumed(
    config: Path, tmp_path: Path
) -> None:
    run = train(config, out=tmp_path / "a", observer=SILENT)
    assert isinstance(run, Run)
    evaluation = evaluate(run)
    assert evaluation.errors == run.result["test_errors"]
    assert evaluation.accuracy == run.result["test_accuracy"]
    assert evaluation.confusion.sum() == 150
    committee = evaluate([run, str(run.path / "last.npz")], split="validation")
    assert committee.scores.n == 100
    images = np.zeros((2, 8, 8), np.uint8)
    np.testing.assert_array_equal(run.model().predict(images), load(run).predict(images))
    longer = train(config, out=run, set={"training.epochs": 4}, resume=True, observer=SILENT)
    assert len(longer.metrics) == 4
    assert train(config, out=run, overwrite=True, observer=SILENT).result["epochs"] == 3


def test_many_trainings_in_one_process_leave_no_threads_behind(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = threading.active_count()
    for _ in range(2):
        train(config, threads=3, observer=SILENT)
        check_gradient(config, threads=2)
    deadline = 100
    while threading.active_count() > before and deadline:
        time.sleep(0.05)
        deadline -= 1
    assert threading.active_count() == before


def test_a_run_reads_as_its_folder(tmp_path: Path) -> None:
    assert str(Run(tmp_path)) == os.fspath(Run(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resume": True}, "need out"),
        ({"resume": True, "overwrite": True, "out": "a"}, "exclude each other"),
        ({"kernels": "slow"}, "kernels=slow: give numpy or fast"),
        ({"set": {"optimizer.rate": 1}}, "unknown key"),
    ],
)
def test_a_wrong_call_raises_an_mlp_error(
    arguments: dict[str, object], message: str, config: Path
) -> None:
    with pytest.raises(MlpError, match=message):
        train(config, **arguments)  # type: ignore[arg-type]
    with pytest.raises(MlpError, match="give test, validation or train"):
        evaluate("runs/a", split="testing")


def test_the_gradient_of_a_configuration_is_checked() -> None:
    found = check_gradient(Config(), set={"model.hidden": [5], "training.batch_size": 4})
    assert found.wrong == []
    assert [layer.gradient for layer in found.layers] == [(5, 784), (10, 5)]


def test_ctrl_c_saves_and_raises_and_the_run_can_be_resumed(config: Path, tmp_path: Path) -> None:
    class Interrupting(SilentObserver):
        def chunk(self, state: object, epochs: int, rows: int, loss: float) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "a", observer=Interrupting())
    assert signal.getsignal(signal.SIGINT) is before
    assert Run(tmp_path / "a").result is None
    train(config, out=tmp_path / "a", resume=True, observer=SILENT)
    assert_same_run(tmp_path / "a", train(config, out=tmp_path / "b", observer=SILENT).path)


def test_progress_is_plain_lines_without_a_terminal(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(config, out=tmp_path / "a")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert sum(line.startswith("epoch ") for line in shown.err.splitlines()) == 3


def test_a_notebook_shows_progress_bars(config: Path, tmp_path: Path) -> None:
    # A loaded module `ipykernel` means a notebook, whose stderr is not a terminal.
    code = (
        "import sys, types; sys.modules['ipykernel'] = types.ModuleType('ipykernel')\n"
        f"from mlp_cli import train; train({str(config)!r}, out='a')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert b"\repoch 1/3 " in done.stderr
