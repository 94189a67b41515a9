"""A training and an evaluation, with each of their system calls failing once.

`helpers.every_call` says which calls count, and why the others do not.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.every_call import ERRORS, Call, Command
from helpers.forks import Forks
from helpers.proofs import Proof
from helpers.quick_training import ROOT
from helpers.runs import assert_same_run
from helpers.tracing import usable

from mlp_cli.errors import StorageError
from mlp_cli.storage.checkpoint import load_checkpoint
from mlp_cli.storage.remedies import remedy

ENVIRON = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",  # so that all runs make the same calls
    "PYTHONHASHSEED": "0",
    "MLP_KERNELS": "numpy",
}
TRAIN = ["train", "disk/c.yaml", "--out", "disk/runs/a", "--resume", "--quiet"]
EVAL = ["eval", "disk/runs/a", "--predictions", "disk/p.csv", "--json"]
CODES = (2, 3, 5, 7)  # of all documented ones, those that a file may cause


@pytest.fixture
def commands(own_images: Callable[..., Path], tmp_path: Path) -> Iterator[list[Command]]:
    """Yield a training of one epoch, and the evaluation of what it trained."""
    if not usable():
        pytest.skip("needs strace and the permission to trace")
    before = tmp_path / "before"
    before.mkdir()
    own_images(height=4, width=4, classes=3, train=200).rename(before / "own")
    (before / "c.yaml").write_text(
        "data: {path: disk/own, validation: 50, scaling: standard}\n"
        "model: {hidden: []}\ntraining: {epochs: 1, batch_size: 32}\n"
    )
    with Forks(tmp_path, ENVIRON) as forks:
        train = Command(TRAIN, before, forks)
        yield [train, Command(EVAL, train.after, forks)]


def outcome(command: Command, call: Call, error: str) -> str:
    """Run a command with one call failing; check that nothing is lost, and return how it ended."""
    done = command.failing(call, error)
    run = command.disk / "runs" / "a"
    for path in run.glob("*.npz"):
        load_checkpoint(path)
    assert not list(command.disk.rglob(".*.tmp"))
    assert "Traceback" not in done.stderr, done.stderr
    assert "ignored" not in done.stderr, done.stderr
    if done.returncode == 0:
        assert done.stderr.count("\n") <= 1, done.stderr
        assert not done.stderr or done.stderr.startswith("WARNING: ")
        assert_same(command, done)
        return f"goes on{', one warning' if done.stderr else ''}"
    assert done.returncode in CODES, done.stderr
    assert done.stderr.count("Error: ") == 1
    assert done.stderr.startswith(("Error: ", "WARNING: "))
    if done.returncode == StorageError.exit_code:
        seen = [getattr(errno, error), *([errno.ESPIPE] if call.name == "lseek" else [])]
        assert any(remedy(OSError(code, "")) in done.stderr for code in seen), done.stderr
    assert_same(command, command.run())
    return f"one message, exit {done.returncode}"


def assert_same(command: Command, done: subprocess.CompletedProcess[str]) -> None:
    """Check that a command that ended well left and printed the same as without a fault."""
    assert done.returncode == 0, done.stderr
    names = [sorted(p.name for p in folder.rglob("*")) for folder in (command.disk, command.after)]
    assert names[0] == names[1]
    if command.shown.startswith("{"):
        assert done.stdout == command.shown
        assert (command.disk / "p.csv").read_bytes() == (command.after / "p.csv").read_bytes()
    assert_same_run(command.disk / "runs" / "a", command.after / "runs" / "a")


@pytest.mark.long
@pytest.mark.proof("F1 each call of a training or an evaluation fails once")
def test_a_failing_call_is_survived_or_is_one_message_and_nothing_is_lost(
    proof: Proof, commands: list[Command]
) -> None:
    calls = [(command, call) for command in commands for call in command.calls()]
    for command, call, error in proof.points([(*c, e) for c in calls for e in ERRORS], quick=12):
        outcome(command, call, error)
