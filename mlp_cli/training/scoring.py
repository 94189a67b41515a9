"""A network run forward over a split."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.data.batches import BatchReader
from mlp_cli.data.dataset import Split
from mlp_cli.nn.backprop import Backpropagation, columns_first
from mlp_cli.nn.buffers import Array, Pixels
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import Operations
from mlp_cli.training.metrics import Scores

# Rows that go through the network at once: compiled kernels like few, which stay in the cache.
FEWEST, MOST = 128, 512


class Forward:
    """A network's forward pass over a split, again and again, in buffers made once.

    The kernels are NumPy's where none are given. The network's parameters are read at every pass.
    """

    def __init__(
        self,
        network: Network,
        split: Split,
        mean: float | Array,
        std: float | Array,
        kernels: Kernels | None = None,
    ) -> None:
        n, classes, dtype = len(split), network.sizes[-1], network.dtype
        kernels = kernels or NumPyKernels()
        pieces = -(-n // min(max(FEWEST, kernels.reads), MOST))
        piece = max(1, -(-n // max(pieces, 1)))  # all of one size, where that can be
        self._reader = reader = BatchReader(split, classes, mean, std, n, dtype, piece)
        reader.rows[:] = split.rows
        self._z = columns_first(n, classes, dtype)
        passes = {K: Backpropagation(network, K).forward for K in {piece, n % piece} - {0}}

        def walk(do: Operations, me: int) -> None:
            for start in range(0, n, piece):
                stop = min(start + piece, n)
                x = reader.read(start, stop, do=do)
                passes[stop - start](x, self._z[start:stop], do=do)

        self._run = kernels.prepare(walk, ThreadTeam(1), dtype)

    def __call__(self) -> tuple[Array, Array, Pixels]:
        """Return z (n, c), one-hot targets (n, c) and labels (n,), good until the next call."""
        self._run(0)
        return self._z, self._reader.y, self._reader.labels


class Scorer:
    """A network's mean loss and confusion matrix over a split, again and again.

    Each member of the team scores rows of its own, by NumPy where no kernels are given.
    """

    def __init__(
        self,
        network: Network,
        split: Split,
        mean: float | Array,
        std: float | Array,
        team: ThreadTeam,
        kernels: Kernels | None = None,
    ) -> None:
        self._team, self._loss, self._n = team, network.loss, len(split)
        self._classes = network.sizes[-1]
        self._members = []
        for me in range(team.size):
            rows = split.rows[self._n * me // team.size : self._n * (me + 1) // team.size]
            own = Split(split.images, split.labels, rows)
            self._members.append(Forward(network, own, mean, std, kernels))

    def score(self) -> Scores:
        """Score the network as it is now; at a loss that is not finite, the caller looks."""
        losses = np.zeros(self._team.size)
        confusions = np.zeros((self._team.size, self._classes, self._classes), np.int64)

        def work(me: int) -> None:
            with np.errstate(over="ignore", invalid="ignore"):
                z, y, labels = self._members[me]()
                losses[me] = self._loss.values(z, y).sum(dtype=np.float64)
            np.add.at(confusions[me], (labels, z.argmax(axis=1)), 1)

        self._team.run(work)
        return Scores(float(losses.sum()) / self._n, confusions.sum(axis=0))
