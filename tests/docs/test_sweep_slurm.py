"""scripts/sweep.sbatch under bash, with real signals; Slurm's own programs are stand-ins.

Slurm needs daemons and a cluster. The stand-ins only record that they were called, and say that the
task is running or not.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers.documents import ROOT
from helpers.runs import assert_same_run
from helpers.shell_sweeps import add_program, finished, prepare, run, running, wait_until

SCRIPT = ROOT / "scripts" / "sweep.sbatch"
START = f"exec bash '{SCRIPT}'"
RUN = "runs/slurm/rate-0.1-width-512"  # the values of task 3
TASK = {"SLURM_ARRAY_JOB_ID": "41", "SLURM_JOB_ID": "44", "SLURM_ARRAY_TASK_ID": "3"}

pytestmark = pytest.mark.long


def prepare_cluster(config: Path, state: str, epochs: int) -> Path:
    """Return a folder with stand-ins for Slurm's programs, for which the task is in this state."""
    config.write_text(config.read_text().replace("epochs: 3", f"epochs: {epochs}"))
    folder = prepare(config)
    add_program(
        folder, "squeue", f'[ "$*" = "--noheader --jobs=41_3 --format=%T" ] && echo {state}'
    )
    add_program(folder, "scontrol", 'echo "$@" >>requeued')
    return folder


def begin(folder: Path, shell: subprocess.Popen[str]) -> None:
    metrics = folder / RUN / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") > 5, shell)


@pytest.mark.nightly
def test_every_task_of_the_array_trains_another_run(config: Path) -> None:
    folder = prepare_cluster(config, "RUNNING", epochs=1)
    match = re.search(r"^#SBATCH --array=0-(\d+)$", SCRIPT.read_text(), re.M)
    assert match is not None
    for task in range(int(match[1]) + 1):
        code, out = run(START, folder, **TASK | {"SLURM_ARRAY_TASK_ID": str(task)})
        assert code == 0, out
    assert finished(folder) == {
        f"rate-{rate}-width-{width}": True
        for rate in ("0.03", "0.1", "0.3", "1")
        for width in ("128", "512")
    }
    assert not (folder / "requeued").exists()


@pytest.mark.parametrize(
    ("number", "to_all", "state", "requeued"),
    [
        (signal.SIGUSR1, False, "RUNNING", True),
        (signal.SIGTERM, True, "RUNNING", True),
        (signal.SIGTERM, True, "COMPLETING", False),
    ],
    ids=["the time limit", "preemption", "scancel"],
)
def test_a_stopped_task_is_queued_again_and_ends_like_one_run(
    number: int, to_all: bool, state: str, requeued: bool, config: Path
) -> None:
    folder = prepare_cluster(config, state, epochs=80)
    code, out = run(START, folder, **TASK)
    assert code == 0, out
    undisturbed = (folder / RUN).rename(folder / "undisturbed")

    with running(START, folder, **TASK) as shell:
        begin(folder, shell)
        sent = time.time()
        (os.killpg if to_all else os.kill)(shell.pid, number)
        out, _ = shell.communicate(timeout=60)
    assert shell.returncode == 128 + signal.SIGTERM, out
    assert (folder / RUN / "last.npz").stat().st_mtime >= sent - 0.01  # a clock tick of the kernel
    assert (folder / "requeued").exists() == requeued
    if requeued:
        assert (folder / "requeued").read_text() == "requeue 41_3\n"
    assert finished(folder) == {"rate-0.1-width-512": False}
    metrics = (folder / RUN / "metrics.jsonl").read_bytes()

    code, out = run(START, folder, **TASK)  # Slurm starts a queued task with the same values
    assert code == 0, out
    assert (folder / RUN / "metrics.jsonl").read_bytes().startswith(metrics)
    assert_same_run(undisturbed, folder / RUN)


def test_a_task_ends_with_the_exit_code_of_its_run(config: Path) -> None:
    folder = prepare_cluster(config, "RUNNING", epochs=0)  # the configuration is wrong
    code, out = run(START, folder, **TASK)
    assert code == 2, out
    assert not (folder / "requeued").exists()
