"""The barrier of compiled code: nobody passes before the last worker comes, however late it is."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra fast")

from mlp_cli.compute.fast.intrinsics import barrier
from mlp_cli.compute.fast.opcodes import BARRIER_WORDS


@pytest.mark.long
@pytest.mark.parametrize("workers", [2, 5])
def test_nobody_passes_before_a_worker_that_comes_late(workers: int) -> None:
    words = np.zeros(BARRIER_WORDS, np.int64)
    rounds, came = 30, np.zeros(workers, np.int64)
    passed_early = []

    def work(worker: int) -> None:
        for turn in range(rounds):
            if (turn // 3) % workers == worker:
                time.sleep(0.002)  # long enough for the others to fall asleep
            came[worker] += 1
            barrier(words.ctypes.data, workers)
            if came.min() <= turn:
                passed_early.append((worker, turn))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    arrivals, asleep, _in_vain = words
    assert not passed_early
    assert (arrivals, asleep) == (rounds * workers, 0)
