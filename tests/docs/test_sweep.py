"""The loops of docs/sweeps.md, run as they stand on small images."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.documents import DOCS, ROOT, blocks

LOOP, _, SEEDS, AT_ONCE, *_ = blocks(DOCS / "sweeps.md", "sh")
RATES = "0.03 0.1 0.3 1;"


def start(script: str, config: Path) -> subprocess.Popen[str]:
    """Run a block in an empty folder, `mlp` being this program and `mnist` small images."""
    folder = config.parent / "sweep"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "mlp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlp_cli "$@"\n')
    (folder / "bin" / "mlp").chmod(0o755)
    script, calls = re.subn(r"mlp train mnist", f"mlp train --config {config}", script)
    assert calls == 1
    return subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}/bin:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.long
def test_a_sweep_goes_on_after_a_rate_that_diverges(config: Path) -> None:
    assert RATES in LOOP
    sweep = start(LOOP.replace(RATES, "0.01 1e38 0.02;").replace("128 512", "8"), config)
    out, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 0
    found = {
        run.name: (run / "result.json").exists()
        for run in (config.parent / "sweep/runs/sweep").iterdir()
    }
    assert found == {
        "rate-0.01-width-8": True,
        "rate-1e38-width-8": False,
        "rate-0.02-width-8": True,
    }
    scores = [
        float(line.rpartition(":")[2].strip(" ,")) for line in out.splitlines() if "val_acc" in line
    ]
    assert len(scores) == 2
    assert scores == sorted(scores)


@pytest.mark.long
def test_a_sweep_stops_at_a_failure_that_is_no_result(config: Path) -> None:
    sweep = start(LOOP.replace(RATES, "0.01 -1 0.02;"), config)
    sweep.communicate(timeout=300)
    runs = sorted(run.name for run in (config.parent / "sweep/runs/sweep").iterdir())
    assert runs == ["rate-0.01-width-128", "rate-0.01-width-512"]


@pytest.mark.long
@pytest.mark.parametrize("script", [LOOP, SEEDS], ids=["rates", "seeds"])
def test_a_sweep_stops_at_an_interrupt(script: str, config: Path) -> None:
    config.write_text(config.read_text().replace("epochs: 3", "epochs: 100000"))
    sweep = start(script, config)
    runs = config.parent / "sweep" / "runs"
    while not list(runs.glob("*/*/last.npz")):
        time.sleep(0.05)
    os.killpg(sweep.pid, signal.SIGINT)
    sweep.communicate(timeout=60)
    assert len(list(runs.glob("*/*"))) == 1


@pytest.mark.long
def test_several_runs_at_once_end_each(config: Path) -> None:
    sweep = start(AT_ONCE.replace("0.1", "1e38"), config)
    sweep.communicate(timeout=300)
    assert sweep.returncode == 123
    runs = config.parent / "sweep/runs/sweep"
    assert {run.name: (run / "result.json").exists() for run in runs.iterdir()} == {
        "rate-0.03": True, "rate-1e38": False, "rate-0.3": True, "rate-1": True,
    }  # fmt: skip
