"""Proofs: tests that repeat a fault in many trials.

A test with the mark `@pytest.mark.proof("C2 SIGKILL at a random instant")` uses the fixture `proof`
and loops over its trials. The normal suite runs a few of them. `python -m pytest -m proof` runs all
and prints a table. The number of a trial is its seed, so that a failure can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Proof:
    """The trials of one fault: how many began, and how many the program survived."""

    fault: str
    long: bool
    exhaustive: bool = False
    begun: int = 0
    survived: int = 0

    def trials(self, quick: int, long: int) -> Iterator[int]:
        """Yield the numbers of the trials: `quick` of them in the suite, `long` in a proof."""
        return self._count(range(long if self.long else quick))

    def points(self, points: Sequence[T], quick: int) -> Iterator[T]:
        """Yield every point; in the suite only `quick` of them, evenly spaced, with both ends."""
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
        """The bound on the rate of failure: below 3/n (95 %) if no trial of n failed."""
        if self.survived < self.begun or not self.begun:
            return "FAILED"
        return "every point" if self.exhaustive else f"below {min(1, 3 / self.begun):.2%}"


def table(proofs: Sequence[Proof]) -> list[str]:
    """Return the lines of the table: fault, trials, survived trials, bound."""
    width = max(len(proof.fault) for proof in proofs)
    head = f"{'fault':<{width}} {'trials':>8} {'survived':>8}  rate of failure (95 %)"
    return [head, "-" * len(head)] + [
        f"{proof.fault:<{width}} {proof.begun:>8,} {proof.survived:>8,}  {proof.bound}"
        for proof in sorted(proofs, key=lambda proof: proof.fault)
    ]
