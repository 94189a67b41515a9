"""Event files for TensorBoard, read back with TensorBoard's own readers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import assert_same_run, records
from helpers.stopping import Stop, resume

from mlp_cli import SilentObserver, load_config, train
from mlp_cli.errors import StorageError
from mlp_cli.storage.checkpoint import load_checkpoint

pytest.importorskip("tensorboardX", reason="needs the extra `tensorboard`")
pytest.importorskip("PIL", reason="needs the extra `tensorboard`")
pytest.importorskip("tensorboard", reason="needs the dependency group `oracle`")

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
LOGGED: dict[str, Any] = {"logging.tensorboard": True}
REGULARISED: dict[str, Any] = {
    "model": {"hidden": [16, 12], "batch_norm": True},
    "regularisation": {"dropout": 0.2, "noise": 0.1, "input_noise": 0.1, "average": 1.0},
    "distortion": {"rotation": 10, "elastic": [1, 2], "ease": 0.5},
}

# As `train`, but it saves only after its first epoch, and kills itself after the fourth.
KILLED = """
import os, signal, sys
import mlp_cli.runs.saver as saver
from mlp_cli import SilentObserver, train
saver.SHARE = 1e12
class Kill(SilentObserver):
    def epoch(self, metrics, epochs):
        if metrics.epoch == 4:
            os.kill(os.getpid(), signal.SIGKILL)
train(sys.argv[1], out=sys.argv[2], set={"logging.tensorboard": True, "training.epochs": 6},
      observer=Kill(), resume=True, kernels="numpy")
"""


def quiet_train(config: Path, out: Path, **options: Any) -> Path:
    return train(config, out=out, observer=SilentObserver(), kernels="numpy", **options).path


def written(run: Path) -> list[tuple[str, int]]:
    """Return the tag and step of every value in the files of a folder, in their order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        return [
            (value.tag, event.step)
            for path in sorted(run.glob("*tfevents*"))
            for event in LegacyEventFileLoader(str(path)).Load()
            for value in event.summary.value
        ]


def steps(run: Path) -> list[int]:
    """Return the steps, after checking that no value is there twice."""
    found = written(run)
    assert not [each for each, times in Counter(found).items() if times > 1]
    return sorted({step for _, step in found})


def accumulated(run: Path) -> Any:
    """Return all events of a run as TensorBoard has them in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing import event_accumulator

        all_of_them = dict.fromkeys(("scalars", "histograms", "images"), 0)
        found = event_accumulator.EventAccumulator(str(run), size_guidance=all_of_them)
        return found.Reload()


def test_tensorboard_reads_the_metrics_the_histograms_and_the_mistakes(
    config: Path, tmp_path: Path
) -> None:
    run = quiet_train(config, tmp_path / "run", set=LOGGED)
    found, metrics = accumulated(run), records(run)
    keys = {
        "loss/train": "train_loss",
        "loss/validation": "val_loss",
        "accuracy/train": "train_accuracy",
        "accuracy/validation": "val_accuracy",
        "learning_rate": "learning_rate",
        "samples_per_second": "samples_per_second",
    }
    assert set(found.Tags()["scalars"]) == set(keys)
    for tag, key in keys.items():
        assert [(event.step, event.value) for event in found.Scalars(tag)] == [
            (record["epoch"], pytest.approx(record[key], rel=1e-6)) for record in metrics
        ]
    counts = {"weights.0": 64 * 16, "weights.1": 16 * 10, "biases.0": 16, "biases.1": 10}
    assert set(found.Tags()["histograms"]) == {
        f"{of}/{name}" for of in ("parameters", "gradients") for name in counts
    }
    for name, count in counts.items():
        for of in ("parameters", "gradients"):
            histograms = found.Histograms(f"{of}/{name}")
            assert [event.step for event in histograms] == [1, 2, 3]
            assert all(event.histogram_value.num == count for event in histograms)
    images = found.Images("mistakes")
    imperfect = [record["epoch"] for record in metrics if record["val_accuracy"] < 1]
    assert [event.step for event in images] == imperfect != []
    assert all(event.encoded_image_string.startswith(b"\x89PNG") for event in images)


def test_events_do_not_change_the_training(config: Path, tmp_path: Path) -> None:
    without = quiet_train(config, tmp_path / "without", set=REGULARISED)
    assert not written(without)
    logged = quiet_train(config, tmp_path / "logged", set=REGULARISED | LOGGED)
    assert steps(logged) == [1, 2, 3]
    assert_same_run(without, logged)


def test_a_killed_training_continues_without_a_step_twice(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    resume(out, load_config(config, set={**LOGGED, "training.epochs": 6}), Stop(epochs=2))
    assert steps(out) == [1, 2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(config), str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert steps(out) == [1, 2, 3, 4]
    assert load_checkpoint(out / "last.npz").state().epoch == 3
    newest = max(out.glob("*tfevents*"))
    newest.write_bytes(newest.read_bytes() + b"\x40\0\0\0\0\0\0\0torn")
    straight = quiet_train(config, tmp_path / "straight", set={"training.epochs": 6})
    quiet_train(config, out, set={**LOGGED, "training.epochs": 6}, resume=True)
    assert steps(out) == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in accumulated(out).Scalars("loss/train")] == [1, 2, 3, 4, 5, 6]
    assert_same_run(straight, out)


def test_events_may_be_turned_on_and_off_when_a_run_is_resumed(
    config: Path, tmp_path: Path
) -> None:
    out = quiet_train(config, tmp_path / "run", set={"training.epochs": 2})
    for epochs, logging in ((4, True), (5, False), (6, True)):
        changes = {"training.epochs": epochs, "logging.tensorboard": logging}
        quiet_train(config, out, set=changes, resume=True)
    assert steps(out) == [3, 4, 6]


def test_overwrite_removes_the_event_files_of_the_run_and_no_other(
    config: Path, tmp_path: Path
) -> None:
    out = quiet_train(config, tmp_path / "run", set=LOGGED)
    mine = [out / f"events.out.tfevents.{end}" for end in ("1700000000.host", "0000000001.mlp.old")]
    for path in mine:
        path.write_text("mine")
    quiet_train(config, out, overwrite=True)
    assert sorted(out.glob("*tfevents*")) == sorted(mine)
    assert [path.read_text() for path in mine] == ["mine", "mine"]


def test_a_pipe_in_place_of_an_event_file_is_refused(config: Path, tmp_path: Path) -> None:
    out = quiet_train(config, tmp_path / "run")
    os.mkfifo(out / "events.out.tfevents.0000000001.mlp")
    with pytest.raises(StorageError, match=r"0001\.mlp: it is not a regular file"):
        quiet_train(config, out, set={**LOGGED, "training.epochs": 4}, resume=True)


def test_a_full_disk_ends_the_events_and_not_the_training(config: Path, tmp_path: Path) -> None:
    limited = (
        "import resource, sys\n"
        "from mlp_cli.__main__ import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", limited, "train", str(config), "--out", "run",
         "--set", "logging.tensorboard=true", "--set", "training.epochs=20"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the events for TensorBoard cannot be written: File too large") == 1
    assert len(records(tmp_path / "run")) == 20
    assert 0 < len(steps(tmp_path / "run")) < 20


def test_a_damaged_event_file_loses_its_events_from_there_on(config: Path, tmp_path: Path) -> None:
    out = quiet_train(config, tmp_path / "run", set=LOGGED)
    (path,) = out.glob("*tfevents*")
    content = path.read_bytes()
    path.write_bytes(content[:40] + b"\xff" * 8 + content[48:])
    quiet_train(config, out, set={**LOGGED, "training.epochs": 4}, resume=True)
    assert steps(out) == [4]
