"""The steps of a training: a chunk of minibatches as one sequence of operations.

A step is a forward pass, a backward pass, an update, and the limit on the norms of the weights. The
updates go minibatch by minibatch, and a last short one is kept. Images are read, and losses are
counted, for several minibatches at once. All of it works on buffers made once. The kernels get it
as one program, which all workers run together, each computing its share of every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import Prepared
from mlp_cli.config.sections import DistortionConfig
from mlp_cli.data.batches import BatchReader, InputScaling
from mlp_cli.data.dataset import Dataset
from mlp_cli.data.distortion import Distorter
from mlp_cli.nn.backprop import NO_DROPOUT, NO_NOISE, Backpropagation, Dropout, Noise
from mlp_cli.nn.buffers import Array, Bits, Rows, columns_first
from mlp_cli.nn.network import Network, rows_of
from mlp_cli.nn.ops import Ops
from mlp_cli.nn.optimizers import FACTORS, Optimizer

# A chunk has so many steps, and rows between these two limits, rounded down to whole minibatches.
# Between chunks, the compiled code converts all that it keeps in panels, so short ones cost time.
CHUNK_STEPS, LEAST_ROWS, MOST_ROWS = 32, 1024, 4096
# A stop waits for the end of a chunk, and may take 5 seconds. NumPy's kernels on one core need half
# of that for so many rows, times the weights of the network.
MOST_WORK = 25e9


@dataclass(frozen=True)
class Regularisers:
    """What a training adds to its steps: dropout, noise, max-norm c, label smoothing ε, averaging.

    `average` is the time constant, in epochs, of the moving average of the weights, and
    `reconstruction` the weight λ of the decoder's cost.
    """

    dropout: Dropout = NO_DROPOUT
    noise: Noise = NO_NOISE
    max_norm: float | None = None
    label_smoothing: float = 0.0
    average: float | None = None
    reconstruction: float = 0.0


PLAIN = Regularisers()


class Minibatch(NamedTuple):
    """The rows (K,) of a minibatch, and the key (1,) of what its step draws."""

    rows: Rows
    key: Bits


class ExaminedBatch(NamedTuple):
    """A minibatch as it is trained: inputs x (K, n), z (K, c), losses (K,), and the passes.

    The arrays are valid until the next step.
    """

    x: Array
    z: Array
    losses: Array
    passes: Backpropagation


def rows_of_chunk(K: int, weights: int) -> int:
    """Return how many rows a chunk of minibatches of K rows has: at least one minibatch."""
    rows = min(CHUNK_STEPS * K, MOST_ROWS, int(MOST_WORK / weights))
    return max(1, max(rows, LEAST_ROWS) // K) * K


class Steps:
    """Takes the steps of one training, a chunk of minibatches at a time.

    Parameters
    ----------
    network, optimizer
        Backpropagation writes the gradient that the optimizer reads.
    dataset, scaling
        What to train on, and the scaling of the inputs.
    batch_size
        Examples of a step, if there are so many.
    regularisers, distortion
        What is added to the steps, and how images are distorted before; None leaves them.
    engine
        The threads, and the kernels that run their operations.

    Attributes
    ----------
    K, chunk
        Rows of a minibatch and of a chunk.
    reader, distorter
        What reads the rows of a chunk, and what distorts them, if anything does.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        dataset: Dataset,
        scaling: InputScaling,
        batch_size: int,
        regularisers: Regularisers,
        distortion: DistortionConfig | None,
        engine: Engine,
    ) -> None:
        self._network, self._optimizer, self._engine = network, optimizer, engine
        n, classes, dtype = len(dataset.train), dataset.classes, network.dtype
        workers = engine.workers
        self.K = K = min(batch_size, n)
        self.chunk = min(rows_of_chunk(K, network.weight_count), n)
        self._at_once = min(max(1, engine.kernels.reads // K) * K, self.chunk)
        self.distorter = None
        if distortion is not None:
            shape = dataset.image_shape
            self.distorter = Distorter(distortion, shape, self.chunk, workers, dtype)
        self.reader = BatchReader(
            dataset.train, classes, scaling, self.chunk, dtype, self._at_once,
            regularisers.label_smoothing, self.distorter, workers,
        )  # fmt: skip
        steps = -(-self.chunk // K)
        self._keys, self._factors = np.zeros(steps, np.uint64), np.zeros((steps, FACTORS))
        self._of_step = [(self._keys[t : t + 1], self._factors[t]) for t in range(steps)]
        # Longer than a chunk: columns 4,096 bytes apart would share one place in the cache.
        self._z = [
            columns_first(self.chunk + 16, classes, dtype)[: self.chunk] for _ in range(workers)
        ]
        self._losses, self._most = (np.empty(self.chunk, dtype) for _ in range(2))
        self._right = np.empty(self.chunk, np.bool_)
        self._passes = {
            size: Backpropagation(
                network,
                size,
                optimizer.gradient,
                workers=workers,
                dropout=regularisers.dropout,
                noise=regularisers.noise,
                reconstruction=regularisers.reconstruction,
            )
            for size in {K, n % K} - {0}
        }
        # For each worker, its rows of the weights of hidden layers, with scratch.
        self._limited: list[list[tuple[Array, float, Array]]] = [[] for _ in range(workers)]
        if regularisers.max_norm is not None:
            for worker, limited in enumerate(self._limited):
                for W in network.weights[:-1]:
                    own = W[rows_of(worker, workers, len(W))]
                    limited.append((own, regularisers.max_norm, np.empty(len(own), own.dtype)))
        self._prepared: dict[tuple[int, bool], Prepared] = {}
        for rows in {self.chunk, n % self.chunk} - {0}:  # a whole chunk, and the last of an epoch
            self._prepare(rows)

    def take(self, rows: Rows, rates: list[float], first: int, keys: Bits) -> tuple[float, int]:
        """Train on the rows, at most a chunk of them, batch by batch.

        `rates` and `keys` are those of each step. `first` is the number of the first step, counted
        from 1. Returns the sum of the losses before each update, and how many rows were right.
        """
        n, steps = len(rows), len(rates)
        self._factors[:steps] = self._optimizer.rule.factors(rates, first)
        self._run(rows, keys[:steps])
        loss = float(self._losses[:n].sum(dtype=np.float64))
        return loss, int(np.count_nonzero(self._right[:n]))

    def examine(self, batch: Minibatch) -> ExaminedBatch:
        """Compute a minibatch, exactly as `take` would train it, without the update.

        The same kernels run the same operations in the same number of threads. Running statistics
        of batch normalisation move, as in a step.
        """
        n = len(batch.rows)
        self._run(*batch, is_examination=True)
        return ExaminedBatch(self.reader.x(n), self._z[0][:n], self._losses[:n], self._passes[n])

    def _run(self, rows: Rows, keys: Bits, *, is_examination: bool = False) -> None:
        self.reader.rows[: len(rows)] = rows
        self._keys[: len(keys)] = keys
        self._prepare(len(rows), is_examination=is_examination)()

    def _prepare(self, rows: int, *, is_examination: bool = False) -> Prepared:
        """Return what trains on so many rows, or examines them."""
        known = rows, is_examination
        if known not in self._prepared:
            program = partial(self._program, rows, is_examination)
            self._prepared[known] = self._engine.prepare(program, self._network.dtype)
        return self._prepared[known]

    def _program(self, rows: int, is_examination: bool, ops: Ops, worker: int) -> None:
        """Train on the first `rows` rows that the reader was given, and count."""
        self._train(rows, is_examination, ops, worker)
        # Each worker has all of z, and counts its share of the rows.
        at, reader = rows_of(worker, self._engine.workers, rows), self.reader
        ops.count_correct(
            self._network.loss, self._z[worker][at], reader.y[at], reader.labels[at],
            self._losses[at], self._right[at], self._most[at],
        )  # fmt: skip

    def _train(self, rows: int, is_examination: bool, ops: Ops, worker: int) -> None:
        """Train on the first `rows` rows that the reader was given, batch by batch."""
        K, reader = self.K, self.reader
        for first in range(0, rows, self._at_once):
            last = min(first + self._at_once, rows)
            x = reader.read(first, last, worker, ops)
            ops.barrier(worker)
            for start in range(first, last, K):
                stop = min(start + K, last)
                z, y = self._z[worker][start:stop], reader.y[start:stop]
                key, factors = self._of_step[start // K]
                passes = self._passes[stop - start]
                passes(x[start - first : stop - first], y, z, worker, ops, key)
                if is_examination:
                    continue
                self._optimizer.step(factors, worker, ops)
                for W, c, s in self._limited[worker]:
                    ops.limit_norms(W, c, s)
