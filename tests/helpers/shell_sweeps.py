"""Sweeps in the shell: blocks of docs/sweeps.md and scripts, run as they stand on small images."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helpers.documents import DOCS, ROOT, blocks


def block(text: str, language: str = "sh") -> str:
    """The block of docs/sweeps.md that holds the text."""
    (found,) = [each for each in blocks(DOCS / "sweeps.md", language) if text in each]
    return found


def prepare(config: Path) -> Path:
    """Return a folder in which `mlp` is this program, and `mnist` the configuration."""
    folder = config.parent / "sweep"
    (folder / "bin").mkdir(parents=True)
    add_program(folder, "mlp", f'exec "{sys.executable}" -m mlp_cli "$@"')
    (folder / "mnist").write_text(config.read_text())
    (folder / "scripts").symlink_to(ROOT / "scripts")
    return folder


def add_program(folder: Path, name: str, script: str) -> None:
    """Put a program, given as a shell script, on the path of the sweep in the folder."""
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / name).chmod(0o755)


@contextmanager
def running(script: str, folder: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a folder that `prepare` made.

    Yields the shell. When the block is left, nothing of it goes on.
    """
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}/bin:{os.environ['PATH']}",
            **environ,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield shell
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()


def run(script: str, folder: Path, **environ: str) -> tuple[int, str]:
    """Run a script to its end; return its exit code and what it printed."""
    with running(script, folder, **environ) as shell:
        out, _ = shell.communicate(timeout=300)
    return shell.returncode, out


def wait_until(condition: Callable[[], object], shell: subprocess.Popen[str]) -> None:
    """Wait for a condition, and fail if the shell ends before it."""
    while not condition():
        assert shell.poll() is None, shell.communicate()[0]
        time.sleep(0.01)


def finished(folder: Path) -> dict[str, bool]:
    """Every run by its name, and whether it has a result."""
    return {run.name: (run / "result.json").exists() for run in (folder / "runs").glob("*/*")}
