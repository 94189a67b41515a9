"""Computes the statistics of batch normalisation from training images without noise and dropout."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.engine import Engine
from mlp_cli.data.batches import BatchReader, InputScaling
from mlp_cli.data.dataset import Split
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.moments import Moments, moments, statistics_of
from mlp_cli.nn.network import Network

# With twenty times as many images, as many validation images are classified wrongly.
IMAGES = 10_000
PIECE = 500  # images that are normalised together, at most


class CleanStatistics:
    """The means and variances of each hidden layer over the first training images, undistorted.

    The workers share the pieces, and the sums are added in the order of the pieces: the number of
    threads changes no bit.
    """

    def __init__(
        self, network: Network, split: Split, scaling: InputScaling, engine: Engine
    ) -> None:
        self._network, self._engine, rows = network, engine, split.rows[:IMAGES]
        # Of equal size: a piece of a few images would be normalised over these few.
        self._pieces = np.array_split(rows, -(-len(rows) // PIECE))
        self._readers = [
            BatchReader(split, network.sizes[-1], scaling, min(PIECE, len(rows)), network.dtype)
            for _ in range(engine.workers)
        ]
        self._found: list[Moments] = [np.empty(0)] * len(self._pieces)
        self._vector, self._step = np.empty_like(network.statistics), -1

    def at(self, step: int, parameters: Array) -> Array:
        """Return the statistics (S,) of the network with these parameters (P,), those of a step.

        They are computed once for a step, and valid until the next one.
        """
        if step != self._step:
            self._engine.run(lambda worker: self._task(worker, parameters))
            statistics_of(self._found, sum(map(len, self._pieces)), self._vector)
            self._step = step
        return self._vector

    def _task(self, worker: int, parameters: Array) -> None:
        reader = self._readers[worker]
        for i in range(worker, len(self._pieces), self._engine.workers):
            rows = self._pieces[i]
            reader.rows[: len(rows)] = rows
            x = reader.read(0, len(rows))
            with np.errstate(over="ignore", invalid="ignore"):  # the trainer looks for such numbers
                self._found[i] = moments(self._network, parameters, x)
