"""A process whose folder was replaced writes nothing into the folder that is there now."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.proofs import Proof
from helpers.runs import assert_same_run
from helpers.selection import few
from helpers.stopping import Stop, resume

from mlp_cli.config.load import load_config
from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.runs.folder import RunFolder
from mlp_cli.storage.header import State

ROOT = Path(__file__).parents[2]
REPLACED = "the folder of this run was removed, and another one was made there"


def removed(run: Path) -> None:
    shutil.rmtree(run)


def made_again(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def moved_and_made_again(run: Path) -> None:
    run.rename(run.with_name("moved"))
    run.mkdir()


def linked_to_another(run: Path) -> None:
    run.rename(run.with_name("moved"))
    run.with_name("other").mkdir()
    run.symlink_to("other")


def copied_over(run: Path) -> None:
    shutil.copytree(run, run.with_name("copy"))
    shutil.rmtree(run)
    run.with_name("copy").rename(run)


WRITES: list[Callable[[RunFolder], object]] = [
    lambda folder: folder.append_metrics("{}"),
    RunFolder.sync_metrics,
    lambda folder: folder.keep_metrics(0),
    lambda folder: folder.write_result({}),
    lambda folder: folder.write(folder.config, b"seed: 1\n"),
    RunFolder.remove_outcome,
    RunFolder.clear,
]


@pytest.mark.parametrize("replace", [made_again, moved_and_made_again, linked_to_another])
@pytest.mark.parametrize("write", WRITES)
def test_no_write_reaches_another_folder(
    write: Callable[[RunFolder], object], replace: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        replace(folder.path)
        folder.result.write_text("another's")
        with pytest.raises(ConfigError, match=REPLACED):
            write(folder)
        assert [path.name for path in folder.path.iterdir()] == ["result.json"]
        assert folder.result.read_text() == "another's"


@pytest.mark.parametrize("write", WRITES)
def test_a_folder_that_is_gone_is_not_made_again(
    write: Callable[[RunFolder], object], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        removed(folder.path)
        with pytest.raises(StorageError, match=r"cannot .*/run.*: No such file or directory"):
            write(folder)
        assert not folder.path.exists()


class Replacing(Stop):
    """Replaces the folder of a run after its first chunk, or after its first epoch."""

    def __init__(self, run: Path, replace: Callable[[Path], None], when: str) -> None:
        super().__init__()
        self.run, self.replace, self.when = run, replace, when

    def chunk(self, state: State, epochs: int, rows: int, loss: float) -> None:
        if state.epoch == (self.when == "second epoch") and self.run.exists():
            self.replace(self.run)
            self.when = ""
            self.after = {path: path.read_bytes() for path in self.run.glob("*")}


@pytest.mark.parametrize("when", ["first epoch", "second epoch"])
@pytest.mark.parametrize("validation", [100, 0])
@pytest.mark.parametrize(
    "replace", [removed, made_again, moved_and_made_again, linked_to_another, copied_over]
)
def test_a_training_ends_where_its_folder_was_replaced(
    replace: Callable[[Path], None], validation: int, when: str, config: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    observer = Replacing(run, replace, when)
    with pytest.raises((ConfigError, StorageError), match=f"{REPLACED}|No such file"):
        resume(run, load_config(config, [f"data.validation={validation}"]), observer)
    assert {path: path.read_bytes() for path in run.glob("*")} == observer.after


def start(config: Path, out: Path, *arguments: str) -> subprocess.Popen[str]:
    """Train with a save after almost every chunk."""
    program = (
        "import sys, mlp_cli.runs.saver as s; s.SHARE, s.LONGEST = 0, 0;"
        "from mlp_cli.__main__ import main; sys.argv[0] = 'mlp'; main()"
    )
    return subprocess.Popen(
        [
            sys.executable, "-c", program, "train", "--config", str(config), "--out", str(out),
            "--quiet", "--set", "training.batch_size=1", *arguments,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait for a file that a process writes."""
    while not path.exists():
        assert process.poll() in (None, 0)
        time.sleep(0.001)


def finish(process: subprocess.Popen[str]) -> None:
    _, message = process.communicate(timeout=60)
    assert (process.returncode, message) == (0, "")


@pytest.mark.long
@pytest.mark.parametrize(
    "way",
    few(
        [
            pytest.param(way, marks=pytest.mark.proof(f"R5 a folder {way}, and another run there"))
            for way in ("removed", "moved away")
        ],
        2,
    ),
)
def test_two_runs_of_one_path_do_not_mix(
    way: str, proof: Proof, config: Path, tmp_path: Path
) -> None:
    reference = tmp_path / "reference"
    finish(start(config, reference, "--set", "training.epochs=2"))
    for seed in proof.trials(quick=3, long=50):
        run = tmp_path / f"run-{seed}"
        old = start(config, run, "--set", "training.epochs=1000", "--set", "seed=1")
        wait_for(run / "last.npz", old)
        time.sleep(random.Random(seed).uniform(0, 0.3))
        old.send_signal(signal.SIGSTOP)  # at any instant, also within a save
        if way == "removed":
            shutil.rmtree(run)
        else:
            run.rename(tmp_path / f"moved-{seed}")
        new = start(config, run, "--set", "training.epochs=2")
        wait_for(run / ["env.json", "last.npz", "result.json"][seed % 3], new)
        old.send_signal(signal.SIGCONT)
        _, message = old.communicate(timeout=60)
        assert old.returncode in (2, 7), message
        assert message.startswith("Error: ") and message.count("\n") == 1
        finish(new)
        assert_same_run(reference, run)
        assert (run / "config.yaml").read_text() == (reference / "config.yaml").read_text()
        assert not list(run.glob(".*"))
