"""The steps of a training: a chunk of minibatches as one sequence of operations.

A step is forward pass, backward pass, update and what limits the weights. The updates go minibatch
by minibatch, the last short one kept; reading the images and counting the losses is done for
several minibatches at once. All of it works on buffers made once and is handed to the kernels as
one program, which a team of threads runs together, each computing its part of every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam, Work
from mlp_cli.data.batches import BatchReader
from mlp_cli.data.dataset import Dataset
from mlp_cli.data.distortion import Distorter, Distortion
from mlp_cli.nn.backprop import (
    NO_DROPOUT,
    NO_NOISE,
    Backpropagation,
    Dropout,
    Noise,
    columns_first,
)
from mlp_cli.nn.buffers import Array, Bits, Rows
from mlp_cli.nn.network import Network, rows_of
from mlp_cli.nn.ops import Operations
from mlp_cli.nn.optimizers import FACTORS, Optimizer

CHUNK = 1024  # rows, rounded down to whole minibatches; never less than one


@dataclass(frozen=True)
class Regularisers:
    """What a trainer adds to the steps: dropout, noise, max-norm c, label smoothing ε, an average.

    `average` is the time constant, in epochs, of the moving average of the weights.
    """

    dropout: Dropout = NO_DROPOUT
    noise: Noise = NO_NOISE
    max_norm: float | None = None
    label_smoothing: float = 0.0
    average: float | None = None


PLAIN = Regularisers()


class Steps:
    """Takes the steps of one training, a chunk of minibatches at a time.

    Parameters
    ----------
    network, optimizer, gradient
        The optimizer reads `gradient` (P,), which backpropagation writes.
    dataset, mean, std
        What to train on, and the inputs' scaling.
    batch_size
        Examples of a step, as far as there are so many.
    regularisers, distortion
        What is added to the steps, and what is done to the images before.
    team, kernels
        The threads, and what runs their operations.

    Attributes
    ----------
    K, chunk
        Rows of a minibatch and of a chunk.
    reader, distorter
        What reads the rows that a chunk consists of, and distorts them where they are distorted.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        gradient: Array,
        dataset: Dataset,
        mean: float,
        std: float,
        batch_size: int,
        regularisers: Regularisers,
        distortion: Distortion | None,
        team: ThreadTeam,
        kernels: Kernels,
    ) -> None:
        self._network, self._optimizer = network, optimizer
        self._team, self._kernels = team, kernels
        n, classes, dtype = len(dataset.train), dataset.classes, network.dtype
        self.K = K = min(batch_size, n)
        self.chunk = min(max(1, CHUNK // K) * K, n)
        self._at_once = min(max(1, kernels.reads // K) * K, self.chunk)
        self.distorter = None
        if distortion is not None:
            shape = dataset.image_shape
            self.distorter = Distorter(distortion, shape, self.chunk, team.size, dtype)
        self.reader = BatchReader(
            dataset.train, classes, mean, std, self.chunk, dtype, self._at_once,
            regularisers.label_smoothing, self.distorter,
        )  # fmt: skip
        steps = -(-self.chunk // K)
        self._keys, self._factors = np.zeros(steps, np.uint64), np.zeros((steps, FACTORS))
        self._of_step = [(self._keys[t : t + 1], self._factors[t]) for t in range(steps)]
        # Longer than a chunk: columns 4,096 bytes apart would share one place in the cache.
        self._z = [
            columns_first(self.chunk + 16, classes, dtype)[: self.chunk] for _ in range(team.size)
        ]
        self._losses, self._most = (np.empty(self.chunk, dtype) for _ in range(2))
        self._right = np.empty(self.chunk, np.bool_)
        self._passes = {
            size: Backpropagation(
                network,
                size,
                gradient,
                parts=team.size,
                dropout=regularisers.dropout,
                noise=regularisers.noise,
            )
            for size in {K, n % K} - {0}
        }
        # Each member's rows of the hidden layers' weights, with scratch.
        self._limited: list[list[tuple[Array, float, Array]]] = [[] for _ in range(team.size)]
        if regularisers.max_norm is not None:
            for me, limited in enumerate(self._limited):
                for W in network.weights[:-1]:
                    own = W[rows_of(me, team.size, len(W))]
                    limited.append((own, regularisers.max_norm, np.empty(len(own), own.dtype)))
        self._walks: dict[int, Work] = {}
        for rows in {self.chunk, n % self.chunk} - {0}:  # a whole chunk, and an epoch's last
            self._prepared(rows)

    def take(self, rows: Rows, rates: list[float], first: int, keys: Bits) -> tuple[float, int]:
        """Train on the rows, at most a chunk of them, batch by batch.

        `rates` and `keys` are those of each step, and `first` is the first one's number, from 1.
        Returns the sum of the losses before each update, and how many rows were right.
        """
        n, t = len(rows), len(rates)
        self.reader.rows[:n] = rows
        self._factors[:t] = self._optimizer.factors(rates, first)
        self._keys[:t] = keys[:t]
        self._team.run(self._prepared(n))
        loss = float(self._losses[:n].sum(dtype=np.float64))
        return loss, int(np.count_nonzero(self._right[:n]))

    def _prepared(self, rows: int) -> Work:
        """Return what the team runs to train on so many rows."""
        if rows not in self._walks:
            walk = partial(self._walk, rows)
            self._walks[rows] = self._kernels.prepare(walk, self._team, self._network.dtype)
        return self._walks[rows]

    def _walk(self, rows: int, do: Operations, me: int) -> None:
        """Train on the first so many rows that the reader has been given, and count."""
        self._train(rows, do, me)
        n = self._team.size  # each has all of z: each counts some of the rows
        at, reader = slice(rows * me // n, rows * (me + 1) // n), self.reader
        do.count(
            self._network.loss, self._z[me][at], reader.y[at], reader.labels[at],
            self._losses[at], self._right[at], self._most[at],
        )  # fmt: skip

    def _train(self, rows: int, do: Operations, me: int) -> None:
        """Train on the first so many rows that the reader has been given, batch by batch."""
        K, reader = self.K, self.reader
        for first in range(0, rows, self._at_once):
            last = min(first + self._at_once, rows)
            x = reader.read(first, last, me, self._team.size, do)
            do.meet(me)
            for start in range(first, last, K):
                stop = min(start + K, last)
                z, y = self._z[me][start:stop], reader.y[start:stop]
                key, factors = self._of_step[start // K]
                self._passes[stop - start](x[start - first : stop - first], y, z, me, do, key)
                self._optimizer.step(factors, me, do)
                for W, limit, s in self._limited[me]:
                    do.limit(W, limit, s)
