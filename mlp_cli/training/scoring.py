"""The forward pass of a network over a split, and its scores."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.data.batches import BatchReader, InputScaling
from mlp_cli.data.dataset import Split
from mlp_cli.data.distortion import Distorter
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.buffers import Array, Pixels, columns_first
from mlp_cli.nn.network import Network, rows_of
from mlp_cli.nn.ops import Ops
from mlp_cli.training.metrics import Scores

# Rows that go through the network at once. Compiled kernels like few, which stay in the cache.
FEWEST, MOST = 128, 512


class Forward:
    """The forward pass of a network over a split, repeatable, in buffers made once.

    It runs in one thread. The parameters of the network are read at every pass. If there is a
    `distorter`, each pass takes the images as they were distorted last.
    """

    def __init__(
        self,
        network: Network,
        split: Split,
        scaling: InputScaling,
        kernels: Kernels,
        distorter: Distorter | None = None,
    ) -> None:
        n, classes, dtype = len(split), network.sizes[-1], network.dtype
        pieces = -(-n // min(max(FEWEST, kernels.reads), MOST))
        piece = max(1, -(-n // max(pieces, 1)))  # all of one size, if possible
        self._reader = reader = BatchReader(
            split, classes, scaling, n, dtype, piece, distorter=distorter
        )
        reader.rows[:] = split.rows
        self._z = columns_first(n, classes, dtype)
        passes = {K: Backpropagation(network, K).forward for K in {piece, n % piece} - {0}}

        def program(ops: Ops, worker: int) -> None:
            for start in range(0, n, piece):
                stop = min(start + piece, n)
                x = reader.read(start, stop, ops=ops)
                passes[stop - start](x, self._z[start:stop], ops=ops)

        self._run = kernels.prepare(program, ThreadTeam(1), dtype)

    def __call__(self) -> tuple[Array, Array, Pixels]:
        """Return z (n, c), one-hot targets (n, c) and labels (n,), valid until the next call."""
        self._run()
        return self._z, self._reader.y, self._reader.labels


class Scorer:
    """The mean loss and the confusion matrix of a network over a split, repeatable.

    Each worker scores its share of the rows.
    """

    def __init__(
        self, network: Network, split: Split, scaling: InputScaling, engine: Engine
    ) -> None:
        self._engine, self._loss, self._n = engine, network.loss, len(split)
        self._classes = network.sizes[-1]
        self._forward = []
        for worker in range(engine.workers):
            rows = split.rows[rows_of(worker, engine.workers, self._n)]
            own = Split(split.images, split.labels, rows)
            self._forward.append(Forward(network, own, scaling, engine.kernels))

    def score(self) -> Scores:
        """Score the network as it is now. The caller checks whether the loss is finite."""
        workers = self._engine.workers
        losses = np.zeros(workers)
        confusions = np.zeros((workers, self._classes, self._classes), np.int64)

        def task(worker: int) -> None:
            with np.errstate(over="ignore", invalid="ignore"):
                z, y, labels = self._forward[worker]()
                losses[worker] = self._loss.values(z, y).sum(dtype=np.float64)
            np.add.at(confusions[worker], (labels, z.argmax(axis=1)), 1)

        self._engine.run(task)
        return Scores(float(losses.sum()) / self._n, confusions.sum(axis=0))
