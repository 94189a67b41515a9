"""A loop, xargs, GNU parallel and make: Ctrl-C in the middle of a sweep, then the same line again.

What had finished is not trained again, what was interrupted continues, and at the end every run
equals one that was never disturbed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from helpers.runs import assert_same_run
from helpers.shell_sweeps import add_program, block, finished, prepare, run, running, wait_until

NEEDS_PARALLEL = pytest.mark.skipif(
    shutil.which("parallel") is None, reason="needs GNU parallel: apt-get install parallel"
)
SWEEPS = [
    pytest.param(block("for rate in"), id="loop"),
    # With more rates, some have not begun in the middle of the sweep.
    pytest.param(block("xargs -P").replace(" 0.3 1 ", " 0.2 0.3 0.5 1 "), id="xargs"),
    pytest.param(block("parallel -q"), id="parallel", marks=NEEDS_PARALLEL),
    pytest.param(block("make -j"), id="make"),
]
EPOCHS = 60

pytestmark = pytest.mark.long


def contents(run: Path) -> dict[str, tuple[int, bytes]]:
    """The time of change and the bytes of every file of a run."""
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in run.iterdir()}


def lines(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


@pytest.mark.parametrize("script", SWEEPS)
def test_an_interrupted_sweep_continues_and_repeats_nothing(script: str, config: Path) -> None:
    # With three rates in place of four, some runs still have not begun in the middle of the sweep.
    script = script.replace("0.03 0.1 0.3 1", "0.1 0.3 1").replace(
        "make -j", "make rates='0.1 0.3 1' -j"
    )
    config.write_text(config.read_text().replace("epochs: 3", f"epochs: {EPOCHS}"))
    folder = prepare(config)
    code, out = run(script, folder)
    assert code == 0, out
    undisturbed = (folder / "runs").rename(folder / "undisturbed")

    def in_the_middle() -> bool:
        """Whether a run has finished, and another one has trained a while."""
        runs = list(folder.glob("runs/*/*"))
        return any((each / "result.json").exists() for each in runs) and any(
            EPOCHS / 10 < lines(each) < EPOCHS * 0.8 for each in runs
        )

    with running(script, folder) as shell:
        wait_until(in_the_middle, shell)
        os.killpg(shell.pid, signal.SIGINT)
        shell.communicate(timeout=60)  # returns when the runs have ended, too
    assert shell.returncode != 0
    runs = {each.name: each for each in folder.glob("runs/*/*")}
    done = {name: contents(each) for name, each in runs.items() if finished(folder)[name]}
    begun = {
        name: (each / "metrics.jsonl").read_bytes()
        for name, each in runs.items()
        if name not in done and lines(each)
    }
    assert done and begun
    assert len(runs) < len(list(undisturbed.glob("*/*")))

    code, out = run(script, folder)
    assert code == 0, out
    for name, before in done.items():
        assert contents(runs[name]) == before
    for name, metrics in begun.items():  # they hold times, so equal lines were not trained again
        assert (runs[name] / "metrics.jsonl").read_bytes().startswith(metrics)
    for each in undisturbed.glob("*/*"):
        assert_same_run(each, folder / "runs" / each.relative_to(undisturbed))
    assert not list(folder.glob("runs/*/*/.*"))


@pytest.mark.parametrize("script", SWEEPS[2:])
def test_a_rate_that_diverges_does_not_keep_the_others_from_training(
    script: str, config: Path
) -> None:
    folder = prepare(config)
    if "sweep.mk" in script:
        script = script.replace("make", "make rates='0.01 1e38' widths='8 16'")
    run(script.replace("0.03 0.1 0.3 1", "0.01 1e38").replace("128 512", "8 16"), folder)
    assert sorted(finished(folder).values()) == [False, False, True, True]


def test_make_keeps_a_result_that_was_written_just_before_an_interrupt(config: Path) -> None:
    folder = prepare(config)
    add_program(folder, "mlp", f'"{sys.executable}" -m mlp_cli "$@"; sleep 60')
    with running(block("make -j"), folder) as shell:
        wait_until(lambda: list(folder.glob("runs/make/*/result.json")), shell)
        os.killpg(shell.pid, signal.SIGINT)
        shell.communicate(timeout=60)
    assert any(finished(folder).values())
