"""A network run forward over a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mlp_cli.backpropagation import Backpropagation, columns_first
from mlp_cli.data import Reader, Split
from mlp_cli.functions import Array
from mlp_cli.metrics import Scores
from mlp_cli.network import Network
from mlp_cli.operands import Pixels
from mlp_cli.operations import Kernels, NumPyKernels, Operations
from mlp_cli.team import Team

CHUNK = 1024  # rows that go through the network at once


def logits(
    network: Network,
    split: Split,
    mean: float | Array,
    std: float | Array,
    kernels: Kernels | None = None,
) -> Iterator[tuple[Array, Array, Pixels]]:
    """Yield z (n, c), one-hot targets (n, c) and labels (n,), chunk by chunk in the split's order.

    All three are buffers, good until the next chunk. The kernels are NumPy's where none are given.
    """
    classes = network.sizes[-1]
    reader = Reader(split, classes, mean, std, CHUNK, network.dtype)
    kernels, alone = kernels or NumPyKernels(), Team(1)
    passes: dict[int, Callable[[int], None]] = {}
    z = columns_first(CHUNK, classes, network.dtype)

    def prepared(n: int) -> Callable[[int], None]:
        forward = Backpropagation(network, n).forward

        def work(do: Operations, me: int) -> None:
            forward(reader.read(0, n, do=do), z[:n], do=do)

        return kernels.prepare(work, alone, network.dtype)

    for start in range(0, len(split), CHUNK):
        rows = split.rows[start : start + CHUNK]
        n = len(rows)
        reader.rows[:n] = rows
        if n not in passes:  # a whole chunk, or the last
            passes[n] = prepared(n)
        passes[n](0)
        yield z[:n], reader.y[:n], reader.labels[:n]


def score(
    network: Network,
    split: Split,
    mean: float | Array,
    std: float | Array,
    team: Team,
    kernels: Kernels | None = None,
) -> Scores:
    """Return a network's mean loss and confusion matrix over a split.

    Each member of the team scores rows of its own, by NumPy where no kernels are given.
    """
    classes, n = network.sizes[-1], len(split)
    losses = np.zeros(team.size)
    confusions = np.zeros((team.size, classes, classes), np.int64)

    def work(me: int) -> None:
        rows = split.rows[n * me // team.size : n * (me + 1) // team.size]
        mine = Split(split.images, split.labels, rows)
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the loss
            for z, y, labels in logits(network, mine, mean, std, kernels):
                losses[me] += network.loss.values(z, y).sum(dtype=np.float64)
                np.add.at(confusions[me], (labels, z.argmax(axis=1)), 1)

    team.run(work)
    return Scores(float(losses.sum()) / n, confusions.sum(axis=0))
