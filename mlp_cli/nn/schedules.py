"""The learning rate as a function of the number of the update.

η(t) = learning_rate · shape · warm-up, with t the number of updates made before this one. The shape
is a function of the epoch, counted from 0, or of the progress in [0, 1): the share of the updates
after the warm-up that were made before this one.

    constant      1
    step          factor^⌊epoch / every⌋
    exponential   factor^epoch
    cosine        final + (1 − final) (1 + cos(π progress)) / 2     (Loshchilov and Hutter, 2017)
    one_cycle     by half cosines from `start` up to 1 at progress = rise, then down to `final`
                                                                    (Smith and Topin, 2017)
    warm-up       linear in t over the first `warmup` epochs: (t + 1) / (their updates)

No state is kept: a resumed run finds the same rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol


class Shape(Protocol):
    """A shape: 1 stands for the full learning rate."""

    by_epoch: ClassVar[bool]  # whether it is the same at all updates of an epoch

    def __call__(self, epoch: int, progress: float) -> float:
        """Return the share of the learning rate."""


@dataclass(frozen=True)
class Constant:
    """1, always."""

    by_epoch: ClassVar[bool] = True

    def __call__(self, epoch: int, progress: float) -> float:
        """Return the share of the learning rate."""
        return 1.0


@dataclass(frozen=True)
class Step:
    """Multiplied by `factor` after every `every` epochs."""

    every: int
    factor: float
    by_epoch: ClassVar[bool] = True

    def __call__(self, epoch: int, progress: float) -> float:
        """Return the share of the learning rate."""
        return float(self.factor ** (epoch // self.every))


@dataclass(frozen=True)
class Exponential:
    """Multiplied by `factor` after each epoch."""

    factor: float
    by_epoch: ClassVar[bool] = True

    def __call__(self, epoch: int, progress: float) -> float:
        """Return the share of the learning rate."""
        return float(self.factor**epoch)


@dataclass(frozen=True)
class Cosine:
    """From 1 down to `final`, along half a cosine."""

    final: float
    by_epoch: ClassVar[bool] = False

    def __call__(self, epoch: int, progress: float) -> float:
        """Return the share of the learning rate."""
        return _half_cosine(1.0, self.final, progress)


@dataclass(frozen=True)
class OneCycle:
    """From `start` up to 1 during the share `rise` of the updates, then down to `final`."""

    rise: float
    start: float
    final: float
    by_epoch: ClassVar[bool] = False

    def __call__(self, epoch: int, progress: float) -> float:
        """Return the share of the learning rate."""
        if progress < self.rise:
            return _half_cosine(self.start, 1.0, progress / self.rise)
        return _half_cosine(1.0, self.final, (progress - self.rise) / (1 - self.rise))


def _half_cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


class Schedule:
    """The learning rates of a training of `epochs` epochs of `steps_per_epoch` updates.

    Parameters
    ----------
    shape
        The shape.
    learning_rate
        The rate that the shape is multiplied with.
    warmup
        Length of the linear warm-up in epochs; may be a fraction.
    """

    def __init__(
        self,
        shape: Shape,
        learning_rate: float,
        *,
        epochs: int,
        steps_per_epoch: int,
        warmup: float = 0.0,
    ) -> None:
        self._shape = shape
        self._learning_rate = learning_rate
        self._steps_per_epoch = steps_per_epoch
        self._warmup = round(warmup * steps_per_epoch)
        self._rest = max(1, epochs * steps_per_epoch - self._warmup)

    def __call__(self, t: int) -> float:
        """Return η of the update before which t updates were made."""
        progress = min(1.0, max(0, t - self._warmup) / self._rest)
        rate = self._learning_rate * self._shape(t // self._steps_per_epoch, progress)
        return rate * (t + 1) / self._warmup if t < self._warmup else rate

    def rates(self, steps: range) -> list[float]:
        """Return η of several updates of one epoch, each as `__call__` gives it."""
        if self._shape.by_epoch and steps.start >= self._warmup:
            return [self(steps.start)] * len(steps)
        return [self(t) for t in steps]
