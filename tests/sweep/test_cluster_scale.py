"""What a trial costs the process that asks a Dask cluster, by trials that only sleep."""

from __future__ import annotations

import os
import shutil
import time
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.dask_cluster import Cluster
from helpers.proofs import Proof
from helpers.sweeps import ROOT, run, start

pytest.importorskip("distributed", reason="needs the extra cluster")
pytestmark = [pytest.mark.long, pytest.mark.serial]

STAND_IN = ROOT / "tests/helpers/trial_stand_in.py"
WORKERS, THREADS = 2, 32
DEAREST = 0.010  # seconds of processor time for a trial
LONGEST = 60.0  # seconds to continue 100,000 trials


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.nightly
@pytest.mark.proof("thousands of trials on a cluster")
def test_a_trial_costs_little_however_many_there_are(tmp_path: Path, proof: Proof) -> None:
    file, out, trials = tmp_path / "sweep.yaml", tmp_path / "out", 5000 if proof.long else 200
    file.write_text(
        "config: {data: {dataset: synthetic, validation: 100}}\nmethod: random\n"
        f"trials: {trials}\nsearch: {{optimizer.learning_rate: {{low: 0.01, high: 0.1}}}}\n"
    )
    cluster = Cluster(tmp_path / "cluster")
    try:
        for _ in range(WORKERS):
            preload = ("--preload", str(STAND_IN))
            cluster.start_worker(None, *preload, "--nthreads", str(THREADS))
        for _ in proof.trials(1, 1):
            process = start(file, "--out", out, "--cluster", cluster.address)
            assert process.stderr is not None
            spent, part = [], trials // 5
            for number, _ in enumerate(process.stderr):
                if number % part == 0:
                    spent.append(processor_seconds(process.pid))
            process.communicate()
            assert process.returncode == 0
            costs = [(after - before) / part for before, after in pairwise(spent)]
            if proof.long:  # times are asserted in proofs alone
                assert max(costs) <= DEAREST
                assert costs[-1] <= 1.5 * costs[0]
            shutil.rmtree(out / "trials" / f"{trials - 1:05}")
            began = time.monotonic()
            assert run(file, "--out", out, "--cluster", cluster.address).returncode == 0
            took = time.monotonic() - began
            assert not proof.long or took <= 10 + LONGEST * trials / 100_000
    finally:
        cluster.stop()
