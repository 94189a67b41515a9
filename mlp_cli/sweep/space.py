"""What a sweep searches: for each dotted key choices or a range, perhaps under a condition.

The values of a trial are a function of the space, the seed of the search and the trial's number. So
neither order nor interruptions nor the number of processes can change them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, Any]  # by dotted key


@dataclass(frozen=True)
class Choices:
    """One of a list of values."""

    values: tuple[Any, ...]

    @property
    def grid(self) -> Sequence[Any]:
        """All values."""
        return self.values

    def at(self, u: float) -> Any:
        """Return the value at a position u in [0, 1); equal shares of it give equal chances."""
        return self.values[int(u * len(self.values))]


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included.

    With `log`, each factor has the same chance. With `step`, the number is `low` plus a multiple of
    it. `whole` numbers are integers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def grid(self) -> Sequence[Any] | None:
        """All values, or None if there are too many to count."""
        return [self._at_step(i) for i in range(self._count)] if self._count else None

    def at(self, u: float) -> Any:
        """Return the value at a position u in [0, 1)."""
        if self._count:
            return self._at_step(int(u * self._count))
        low, high = self.low, self.high
        if not self.log:
            return self.nearest(low + u * (high - low))
        if self.whole:  # each integer stands for the numbers that are rounded to it
            low, high = low - 0.5, high + 0.5
        return self.nearest(math.exp(math.log(low) + u * (math.log(high) - math.log(low))))

    @property
    def _count(self) -> int:
        """The number of values, or 0 if they have no steps."""
        step = self._step
        if step is None:
            return 0
        # A tenth of a step covers the rounding of decimal fractions.
        return math.floor((self.high - self.low) / step + 0.1) + 1

    @property
    def _step(self) -> float | None:
        return self.step or (1 if self.whole and not self.log else None)

    def _at_step(self, i: int) -> Any:
        return self.nearest(self.low + i * (self._step or 0))

    def nearest(self, value: float) -> Any:
        """Return the value of the range near `value`, with few digits."""
        if self.whole:
            return min(max(round(value), self.low), self.high)
        digits = 12 if self.step else 6  # multiples of a step lose only what rounding added
        return min(max(float(f"{value:.{digits}g}"), self.low), self.high)


@dataclass(frozen=True)
class Dimension:
    """A key that is searched. `condition` has the allowed values of other keys."""

    key: str
    domain: Choices | Range
    condition: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether the key is set in a trial with these values of the keys before it."""
        return all(
            key in values and values[key] in allowed for key, allowed in self.condition.items()
        )


@dataclass(frozen=True)
class Space:
    """All dimensions. A condition names only dimensions before its own."""

    dimensions: tuple[Dimension, ...]

    def grid(self) -> Iterator[Values]:
        """Yield the values of all trials of a grid; the last key changes fastest."""
        yield from self._grid(self.dimensions, {})

    def _grid(self, dimensions: Sequence[Dimension], values: Values) -> Iterator[Values]:
        if not dimensions:
            yield values
            return
        first, *others = dimensions
        if not first.applies(values):
            yield from self._grid(others, values)
            return
        for value in first.domain.grid or ():
            yield from self._grid(others, {**values, first.key: value})

    def at(self, positions: Sequence[float]) -> Values:
        """Return the values at positions in [0, 1), one for each dimension."""
        values: Values = {}
        for dimension, u in zip(self.dimensions, positions, strict=True):
            if dimension.applies(values):
                values[dimension.key] = dimension.domain.at(u)
        return values

    def random(self, seed: int, number: int) -> Values:
        """Return the values of a trial of a random search."""
        from mlp_cli.nn.rng import generator  # the sweep file is read before NumPy is loaded

        return self.at(generator(seed, "search", number).random(len(self.dimensions)).tolist())
