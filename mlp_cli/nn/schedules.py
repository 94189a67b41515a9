"""The learning rate as a function of the update's number.

η(t) = learning_rate · shape · warm-up, with t the number of updates before this one. The shape is
a function of the epoch (whole epochs behind) or of the progress in [0, 1): the share of the updates
after the warm-up that lie behind.

    constant      1
    step          factor^⌊epoch / every⌋
    exponential   factor^epoch
    cosine        final + (1 − final) (1 + cos(π progress)) / 2     (Loshchilov and Hutter, 2017)
    one_cycle     by half cosines from `start` up to 1 at progress = rise, then down to `final`
                                                                    (Smith and Topin, 2017)
    warm-up       linear in t over the first `warmup` epochs: (t + 1) / (their updates)

Nothing is imported and nothing is kept: a resumed run finds the same rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(epoch: int, progress: float) -> float:
    """1, always."""
    return 1.0


def step(epoch: int, progress: float, *, every: int, factor: float) -> float:
    """Multiply by `factor` after each `every` epochs."""
    return float(factor ** (epoch // every))


def exponential(epoch: int, progress: float, *, factor: float) -> float:
    """Multiply by `factor` after each epoch."""
    return float(factor**epoch)


def cosine(epoch: int, progress: float, *, final: float) -> float:
    """Fall from 1 to `final` along half a cosine."""
    return _half_cosine(1.0, final, progress)


def one_cycle(epoch: int, progress: float, *, rise: float, start: float, final: float) -> float:
    """Rise from `start` to 1 during the share `rise` of the updates, then fall to `final`."""
    if progress < rise:
        return _half_cosine(start, 1.0, progress / rise)
    return _half_cosine(1.0, final, (progress - rise) / (1 - rise))


def _half_cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
    "one_cycle": one_cycle,
}
BY_EPOCH = frozenset({"constant", "step", "exponential"})  # the same at all of an epoch's updates


class Schedule:
    """Learning rates of a training of `epochs` epochs of `steps_per_epoch` updates.

    Parameters
    ----------
    name
        A key of `SCHEDULES`.
    learning_rate
        What the shape is multiplied with.
    warmup
        Length of the linear warm-up in epochs; may be a fraction.
    options
        The shape's own arguments.
    """

    def __init__(
        self,
        name: str,
        learning_rate: float,
        *,
        epochs: int,
        steps_per_epoch: int,
        warmup: float = 0.0,
        **options: float,
    ) -> None:
        self._shape = SCHEDULES[name]
        self._by_epoch = name in BY_EPOCH
        self._options = options
        self._learning_rate = learning_rate
        self._steps_per_epoch = steps_per_epoch
        self._warmup = round(warmup * steps_per_epoch)
        self._rest = max(1, epochs * steps_per_epoch - self._warmup)

    def __call__(self, t: int) -> float:
        """Return η for the update that has t updates behind it."""
        progress = min(1.0, max(0, t - self._warmup) / self._rest)
        rate = self._learning_rate * self._shape(
            t // self._steps_per_epoch, progress, **self._options
        )
        return rate * (t + 1) / self._warmup if t < self._warmup else rate

    def rates(self, steps: range) -> list[float]:
        """Return η for each of some updates of one epoch, each as if asked for by itself."""
        if self._by_epoch and steps.start >= self._warmup:
            return [self(steps.start)] * len(steps)
        return [self(t) for t in steps]
