"""Averaging at test time: what a network says to N small distortions of an image, averaged.

The distortions are those of the network's own training, at S times their strength. The average is
that of the log-probabilities, as in a committee. The undistorted image is not one of the N.

The random numbers depend only on the number of the distortion, from 0 to N − 1, and on the image's
place in the split: not on the network, on other images, or on the number of threads. A larger N
adds distortions to those of a smaller one, and S only scales them.

Krizhevsky, Sutskever and Hinton (2012, section 4.1) average in this way over ten shifted and
reflected parts of an image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from mlp_cli.compute.select import choose_threads
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.data.dataset import Split
from mlp_cli.data.distortion import Distorter, weakened
from mlp_cli.errors import ConfigError
from mlp_cli.inference.model import Model
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.rng import generator

MOST = 1000  # distortions of an image
CHUNK = 500  # images of a chunk, whose elastic fields share one σ; one thread computes them
SEED = 0


@dataclass(frozen=True)
class Averaging:
    """Over how many distortions of each image to average, and how strong they are.

    Attributes
    ----------
    distortions
        The number N.
    strength
        The share S of their strength in training.

    Raises
    ------
    ConfigError
        If N is not 1 to `MOST`, or S is not above 0 and at most 1.
    """

    distortions: int
    strength: float = 0.25

    def __post_init__(self) -> None:
        n, s = self.distortions, self.strength
        if type(n) is not int or not 1 <= n <= MOST:
            raise ConfigError(f"average={n!r}: give a whole number from 1 to {MOST}.")
        if not isinstance(s, int | float) or not 0 < s <= 1:
            raise ConfigError(f"strength={s!r}: give a number above 0 and at most 1.")

    def __str__(self) -> str:
        """Say in words that an answer is an average."""
        number = f"{self.distortions:,} distortion{'s' * (self.distortions > 1)}"
        return f"averaged over {number} of each image, at strength {self.strength:g}"


def choose_averaging(average: int | None, strength: float | None) -> Averaging | None:
    """Return the averaging over `average` distortions, None if that is None.

    Raises
    ------
    ConfigError
        As `Averaging`; or if only the strength is given.
    """
    if average is not None:
        return Averaging(average) if strength is None else Averaging(average, strength)
    if strength is not None:
        raise ConfigError("strength needs average, the number of distortions.")
    return None


def check_distorted(models: Sequence[Model]) -> None:
    """Check that networks were trained on distorted images.

    Raises
    ------
    ConfigError
        If one was not.
    """
    for model in models:
        if model.config.distortion.is_none:
            raise ConfigError(
                f"{model.path} was trained without distortions, so there are none to average "
                "over. Score it without averaging."
            )


def averaged(
    model: Model, split: Split, averaging: Averaging, tell: Callable[[int], object] = lambda n: None
) -> Array:
    """Return the mean log-probabilities (n, classes) of a network, not normalised, in float64.

    `tell` is told again and again how many distortions were classified since it was last told.

    The number of threads follows from OMP_NUM_THREADS, or else from the network, as in training. It
    does not change the result: each chunk is computed by one thread, and BLAS is held to one.

    Raises
    ------
    CheckpointError
        If the weights give no probabilities.
    ConfigError
        If OMP_NUM_THREADS is set and is not a number of threads.
    """
    total = np.zeros((len(split), model.classes))
    starts = range(0, len(split), CHUNK)
    workers = choose_threads(None, model.config.model.hidden, CHUNK, False, os.environ)
    with threadpool_limits(limits=1, user_api="blas"), closing(ThreadTeam(workers)) as team:
        for first in range(0, len(starts), workers):
            chunks = [
                _Chunk(model, split, start, averaging.strength, total)
                for start in starts[first : first + workers]
            ]
            for number in range(averaging.distortions):  # a task each, so that Ctrl-C waits for one
                team.run(partial(_add, chunks, number))
                tell(sum(chunk.n for chunk in chunks))
    return total / averaging.distortions


class _Chunk:
    """Some images of a split, which are distorted and classified together."""

    def __init__(
        self, model: Model, split: Split, start: int, strength: float, total: Array
    ) -> None:
        rows = split.rows[start : start + CHUNK]
        recipe, dtype = weakened(model.config.distortion, strength), model.network.dtype
        self._number, self.n = start // CHUNK, len(rows)
        self._distorter = Distorter(recipe, model.image_shape, CHUNK, 1, dtype)
        self._logits = model.forward(Split(split.images, split.labels, rows), self._distorter)
        self._log_probabilities = model.network.loss.log_probabilities
        self._total = total[start : start + CHUNK]

    def add(self, number: int) -> None:
        """Add what the network says to the distortion of this number."""
        self._distorter.begin(generator(SEED, "averaging", number, self._number), 0, self.n, 0.0)
        self._total += self._log_probabilities(self._logits())


def _add(chunks: Sequence[_Chunk], number: int, worker: int) -> None:
    """Let a worker add the distortion of this number to its chunk; the last may have none."""
    if worker < len(chunks):
        chunks[worker].add(number)
