"""Proofs: tests of a fault by trials, few in the suite and many under `pytest -m proof`.

A test marked `@pytest.mark.proof("C2 SIGKILL at a random instant")` takes the fixture `proof` and
loops over its trials. In the suite a few are made; `python -m pytest -m proof` makes them all and
prints a table of them. A trial's number is its seed, so that a failure can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Proof:
    """The trials of one fault: how many were begun, and how many were survived."""

    fault: str
    long: bool
    exhaustive: bool = False
    begun: int = 0
    survived: int = 0

    def trials(self, quick: int, long: int) -> Iterator[int]:
        """Yield the numbers of the trials: the first `quick` ones, or `long`."""
        return self._count(range(long if self.long else quick))

    def points(self, points: Sequence[T], quick: int) -> Iterator[T]:
        """Yield every point, or in the suite `quick` of them at even distances, ends included."""
        self.exhaustive = True
        if self.long or len(points) <= quick:
            return self._count(points)
        return self._count([points[i * (len(points) - 1) // (quick - 1)] for i in range(quick)])

    def _count(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            self.begun += 1
            yield item
            self.survived += 1

    @property
    def bound(self) -> str:
        """What the trials say of the fault's rate: with no failure in n it is below 3/n (95 %)."""
        if self.survived < self.begun or not self.begun:
            return "FAILED"
        return "every point" if self.exhaustive else f"below {min(1, 3 / self.begun):.2%}"


def table(proofs: Sequence[Proof]) -> list[str]:
    """Return the lines of the table: fault, trials, survived, bound."""
    width = max(len(proof.fault) for proof in proofs)
    head = f"{'fault':<{width}} {'trials':>8} {'survived':>8}  rate of failure (95 %)"
    return [head, "-" * len(head)] + [
        f"{proof.fault:<{width}} {proof.begun:>8,} {proof.survived:>8,}  {proof.bound}"
        for proof in sorted(proofs, key=lambda proof: proof.fault)
    ]
