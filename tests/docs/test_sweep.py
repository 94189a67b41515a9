"""The loops of docs/sweeps.md, run as they stand on small images."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

import pytest
from helpers.documents import DOCS, ROOT, blocks

LOOP, _, SEEDS, AT_ONCE, *_ = blocks(DOCS / "sweeps.md", "sh")
RATES = "0.03 0.1 0.3 1;"
assert RATES in LOOP

pytestmark = pytest.mark.long


@contextmanager
def running(script: str, config: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a block in an empty folder, `mlp` being this program and `mnist` some small images.

    Yields the shell and the folder of the runs; when the block is left, nothing of it goes on.
    """
    folder = config.parent / "sweep"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "mlp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlp_cli "$@"\n')
    (folder / "bin" / "mlp").chmod(0o755)
    shell = subprocess.Popen(
        [
            "bash",
            "-c",
            script.replace("mlp train mnist", f"mlp train --config {quote(str(config))}"),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}/bin:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield shell, folder / "runs"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()


def finished(runs: Path) -> dict[str, bool]:
    """Every run by its name, and whether it has a result."""
    return {run.name: (run / "result.json").exists() for run in runs.glob("*/*")}


def test_a_sweep_goes_on_after_a_rate_that_diverges(config: Path) -> None:
    script = LOOP.replace(RATES, "0.01 1e38 0.02;").replace("128 512", "8")
    with running(script, config) as (shell, runs):
        out, _ = shell.communicate(timeout=300)
    assert shell.returncode == 0
    assert finished(runs) == {
        "rate-0.01-width-8": True,
        "rate-1e38-width-8": False,
        "rate-0.02-width-8": True,
    }
    lines = [line for line in out.splitlines() if '"val_accuracy"' in line]
    scores = [float(line.rpartition(":")[2].strip(" ,")) for line in lines]
    assert len(scores) == 2
    assert scores == sorted(scores)


def test_a_sweep_stops_at_a_failure_that_is_no_result(config: Path) -> None:
    with running(LOOP.replace(RATES, "0.01 -1 0.02;"), config) as (shell, runs):
        shell.communicate(timeout=300)
    assert finished(runs) == {"rate-0.01-width-128": True, "rate-0.01-width-512": True}


@pytest.mark.parametrize("script", [LOOP, SEEDS], ids=["rates", "seeds"])
def test_a_sweep_stops_at_an_interrupt(script: str, config: Path) -> None:
    config.write_text(config.read_text().replace("epochs: 3", "epochs: 100000"))
    with running(script, config) as (shell, runs):
        while not list(runs.glob("*/*/last.npz")):
            assert shell.poll() is None
            time.sleep(0.05)
        os.killpg(shell.pid, signal.SIGINT)
        shell.communicate(timeout=60)
    assert list(finished(runs).values()) == [False]


def test_several_runs_at_once_go_on_beside_one_that_diverges(config: Path) -> None:
    with running(AT_ONCE.replace("0.1", "1e38"), config) as (shell, runs):
        shell.communicate(timeout=300)
    assert shell.returncode == 123
    assert finished(runs) == {
        "rate-0.03": True,
        "rate-1e38": False,
        "rate-0.3": True,
        "rate-1": True,
    }
