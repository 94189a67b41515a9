"""Averages over the steps of a training."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.engine import Engine
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.network import rows_of
from mlp_cli.nn.optimizers import BLOCK


def move_average(average: Array, vector: Array, share: float, engine: Engine) -> None:
    """Move an average by a share of the way towards a vector, in place, block by block."""

    def task(worker: int) -> None:
        s = np.empty(BLOCK, vector.dtype)
        own = rows_of(worker, engine.workers, len(vector))
        for start in range(own.start, own.stop, BLOCK):
            at = slice(start, min(start + BLOCK, own.stop))
            difference = np.subtract(vector[at], average[at], out=s[: at.stop - start])
            np.multiply(difference, share, out=difference)
            np.add(average[at], difference, out=average[at])

    engine.run(task)
