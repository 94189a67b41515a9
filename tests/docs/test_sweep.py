"""The loops of docs/sweeps.md, run as they stand on small images."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from helpers.shell_sweeps import block, finished, prepare, run, running, wait_until

LOOP, SEEDS, AT_ONCE = block("for rate in"), block("for seed in"), block("xargs -P")
RATES = "0.03 0.1 0.3 1;"
assert RATES in LOOP

pytestmark = pytest.mark.long


def test_a_sweep_goes_on_after_a_rate_that_diverges(config: Path) -> None:
    script = LOOP.replace(RATES, "0.01 1e38 0.02;").replace("128 512", "8")
    code, out = run(script, folder := prepare(config))
    assert code == 0
    assert finished(folder) == {
        "rate-0.01-width-8": True,
        "rate-1e38-width-8": False,
        "rate-0.02-width-8": True,
    }
    lines = [line for line in out.splitlines() if '"val_accuracy"' in line]
    scores = [float(line.rpartition(":")[2].strip(" ,")) for line in lines]
    assert len(scores) == 2
    assert scores == sorted(scores)


def test_a_sweep_stops_at_a_failure_that_is_no_result(config: Path) -> None:
    run(LOOP.replace(RATES, "0.01 -1 0.02;"), folder := prepare(config))
    assert finished(folder) == {"rate-0.01-width-128": True, "rate-0.01-width-512": True}


@pytest.mark.parametrize("script", [LOOP, SEEDS], ids=["rates", "seeds"])
def test_a_sweep_stops_at_an_interrupt(script: str, config: Path) -> None:
    config.write_text(config.read_text().replace("epochs: 3", "epochs: 100000"))
    with running(script, folder := prepare(config)) as shell:
        wait_until(lambda: list(folder.glob("runs/*/*/last.npz")), shell)
        os.killpg(shell.pid, signal.SIGINT)
        shell.communicate(timeout=60)
    assert list(finished(folder).values()) == [False]


def test_several_runs_at_once_go_on_beside_one_that_diverges(config: Path) -> None:
    code, _ = run(AT_ONCE.replace("0.1", "1e38"), folder := prepare(config))
    assert code == 123
    assert finished(folder) == {
        "rate-0.03": True,
        "rate-1e38": False,
        "rate-0.3": True,
        "rate-1": True,
    }
