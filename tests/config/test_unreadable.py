"""A configuration that cannot be read: 7 if the system refuses, 2 if it is none.

The same for other paths that lead to one: a run's folder, a shipped configuration.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.privileges import without_root

from mlp_cli import SilentObserver, train

ROOT = Path(__file__).parents[2]
COMMANDS = [["train"], ["gradcheck", "--config"]]


def mlp(*arguments: object, package: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `mlp` as a user for whom permissions count."""
    return subprocess.run(
        [sys.executable, "-m", "mlp_cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(package)},
        cwd="/",
        capture_output=True, text=True, preexec_fn=without_root, check=False,
    )  # fmt: skip


def assert_refused(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(f"Error: {message}"), done.stderr
    assert done.stderr.count("\n") == 1


def forbidden_file(path: Path) -> Path:
    path.chmod(0)
    return path


def below_a_forbidden_folder(path: Path) -> Path:
    folder = path.parent / "closed"
    folder.mkdir()
    path = path.rename(folder / path.name)
    folder.chmod(0)
    return path


def failing_disk(path: Path) -> Path:
    path.unlink()
    path.symlink_to("/proc/self/mem")  # its first byte cannot be read
    return path


REFUSED: list[tuple[Callable[[Path], Path], str]] = [
    (forbidden_file, "Permission denied"),
    (below_a_forbidden_folder, "Permission denied"),
    (failing_disk, "Input/output error"),
]


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_what_the_system_refuses_to_read_is_exit_7(
    make: Callable[[Path], Path], reason: str, command: list[str], config: Path
) -> None:
    path = make(config)
    assert_refused(mlp(*command, path), 7, f"cannot read {path}: {reason}. ")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def compressed(path: Path) -> None:
    path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0")


def with_zeros(path: Path) -> None:
    path.write_bytes(b"\0" * 64)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


@pytest.mark.long
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (folder, ": a folder or device"),
        (device, ": a folder or device"),
        (compressed, ":1: not UTF-8"),
        (with_zeros, ":1: the character U+0000 is not allowed here"),
    ],
)
def test_what_is_no_configuration_is_exit_2(
    make: Callable[[Path], None], reason: str, config: Path
) -> None:
    make(config)
    for command in COMMANDS:
        assert_refused(mlp(*command, config), 2, f"{config}{reason}")


@pytest.mark.long
@pytest.mark.parametrize("call", ["config list", "train mnist"])
def test_a_shipped_configuration_that_may_not_be_read_is_exit_7(call: str, tmp_path: Path) -> None:
    for name in ("mlp_cli", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shipped = forbidden_file(tmp_path / "configs" / "mnist.yaml")
    message = f"cannot read {shipped}: Permission denied. "
    assert_refused(mlp(*call.split(), package=tmp_path), 7, message)


@pytest.mark.long
def test_a_run_that_may_not_be_read_is_exit_7(config: Path, tmp_path: Path) -> None:
    run = train(config, out=tmp_path / "run", observer=SilentObserver()).path
    best, stored = run / "best.npz", run / "config.yaml"
    for path in (stored, best):
        path.chmod(0)
    denied = "Permission denied. "
    assert_refused(
        mlp("train", config, "--out", run, "--resume"), 7, f"cannot read {stored}: {denied}"
    )
    assert_refused(mlp("eval", best), 7, f"cannot read {best}: {denied}")
    run.chmod(0)
    deeper = run / "nothing" / "best.npz"
    for path, named in ((run, best), (best, best), (deeper, deeper)):
        assert_refused(mlp("eval", path), 7, f"cannot read {named}: {denied}")
