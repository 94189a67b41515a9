"""One run that many processes start in the same second, all killed, and started again."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from helpers.killed_runs import BUSY, Runs
from helpers.proofs import Proof

STARTS = 8


@pytest.mark.nightly
@pytest.mark.proof("C11 many starts in one second, all killed and started again")
def test_a_run_that_is_started_many_times_and_killed_ends_like_one_run(
    killed_runs: Runs, proof: Proof
) -> None:
    name = "every regulariser"
    _, seconds = killed_runs.reference(name)
    for seed in proof.trials(quick=1, long=50):
        generator, out = random.Random(seed), killed_runs.folder / f"starts-{seed}"
        for _ in range(3):
            processes = [killed_runs.start(name, out, BUSY) for _ in range(STARTS)]
            # Each takes longer to start here than alone.
            moments = sorted(generator.uniform(0.2, 3 * seconds) for _ in processes)
            started = time.monotonic()
            for process, moment in zip(processes, moments, strict=True):
                time.sleep(max(0, started + moment - time.monotonic()))
                os.killpg(process.pid, signal.SIGKILL)
            for process in processes:
                _, stderr = process.communicate()
                assert process.returncode in (0, 2, -signal.SIGKILL), stderr
                if process.returncode == 2:
                    assert "another process is training this run" in stderr
        killed_runs.finish(name, out)
        killed_runs.compare(name, out)
