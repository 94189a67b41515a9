"""Join the components of the ink to digits, and put the digits into the order of reading.

1. The size of a component is its longer side. The usual size is that at which half of the ink is
   reached, from the smallest component on.
2. Of all pairs of components that may be parts of one digit, join the nearest; repeat with the
   joined boxes. Parts are near, and together no larger than a digit. Two that are both nearly as
   high as a digit are two digits, unless one stands above or within the other's columns.
3. Leave out what is much smaller or larger than a digit. If several digits are expected, cut what
   is too wide for one at the column with the least ink.
4. Go through the digits from the left to the right. A digit continues the line whose last digit
   stands in the same rows and is the nearest of these, or begins a new line. Lines are read from
   the top, as the mean slope of all lines runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mlp_cli.data.pictures.components import Components
from mlp_cli.data.pictures.windows import Mask

LARGEST = 1.4  # height and width of joined parts, in usual sizes
LARGEST_ALONE, SLENDER = (
    2.2,
    0.4,
)  # the same of a single digit, if it is not narrower for its height
NEAR = 0.4  # gap between parts, in usual sizes
TALL = 0.6  # of the usual size: parts that may be digits of their own
SHARED_COLUMNS = 0.5  # of the narrower of two such parts, for one digit
SMALLEST, LONGEST = 0.4, 2.5  # digits, in usual sizes
TOUCHING = 1.35  # of the usual size and of the height: what is wider is more than one digit
NARROWEST = 8  # pixels; a narrower digit is not cut
CUT = 0.25  # of the width: a cut is no nearer to an end
WIDEST = 2.5  # of the height
MOST_PARTS = 300  # so many, the largest, are looked at
SHARED_ROWS = 0.4  # of the lower of two digits in a line


class Digit(NamedTuple):
    """The box of a digit (bottom and right are exclusive), its area of ink, and its components."""

    top: int
    left: int
    bottom: int
    right: int
    area: int
    parts: tuple[int, ...]

    @property
    def height(self) -> int:
        """Its number of rows."""
        return self.bottom - self.top

    @property
    def size(self) -> int:
        """Its longer side."""
        return max(self.height, self.width)

    @property
    def width(self) -> int:
        """Its number of columns."""
        return self.right - self.left


def find_digits(parts: Components, kept: Mask, alone: bool) -> list[list[Digit]]:
    """Return the lines of digits that the kept components form, in the order of reading.

    If a digit is `alone`, the usual size may be that of a part. So parts are joined more freely.
    """
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.argsort(-parts.area[chosen], kind="stable")][:MOST_PARTS]
    boxes = [_box(parts, int(part)) for part in chosen]
    if not boxes:
        return []
    usual = _usual_size(boxes)
    digits = _joined(boxes, usual, alone)
    digits = [digit for digit in digits if SMALLEST * usual <= digit.size <= LONGEST * usual]
    upright = [digit for digit in digits if digit.width <= WIDEST * digit.height] or digits
    if not alone:
        upright = [piece for digit in upright for piece in _cut(digit, parts, usual)]
    return _in_order(upright)


def _cut(digit: Digit, parts: Components, usual: int) -> list[Digit]:
    """Return the digits that touch each other: what is too wide is cut where it has least ink."""
    if digit.width <= TOUCHING * max(usual, digit.height, NARROWEST):
        return [digit]
    own = np.zeros(len(parts), bool)
    own[list(digit.parts)] = True
    ink = parts.mask(own)[digit.top : digit.bottom, digit.left : digit.right].sum(axis=0)
    first, last = (int(share * digit.width) for share in (CUT, 1 - CUT))
    column = first + int(ink[first:last].argmin())
    left = digit._replace(right=digit.left + column, area=int(ink[:column].sum()))
    right = digit._replace(left=digit.left + column, area=int(ink[column:].sum()))
    return [*_cut(left, parts, usual), *_cut(right, parts, usual)]


def _box(parts: Components, part: int) -> Digit:
    edges = (parts.top, parts.left, parts.bottom, parts.right)
    top, left, bottom, right = (int(edge[part]) for edge in edges)
    return Digit(top, left, bottom, right, int(parts.area[part]), (part,))


def _usual_size(boxes: list[Digit]) -> int:
    by_size = sorted(boxes, key=lambda box: box.size)
    ink = np.cumsum([box.area for box in by_size])
    return by_size[int(np.searchsorted(ink, ink[-1] / 2))].size


def _joined(boxes: list[Digit], usual: int, alone: bool) -> list[Digit]:
    """Join parts of digits, the nearest first."""
    left = dict(enumerate(boxes))
    gaps: dict[tuple[int, int], float] = {}

    def measure(number: int, others: Iterable[int]) -> None:
        for other in others:
            gap = _gap_of_parts(left[other], left[number], usual, alone)
            if gap is not None:
                gaps[min(other, number), max(other, number)] = gap

    for number in left:
        measure(number, range(number))
    while gaps:
        first, second = min(gaps, key=lambda pair: (gaps[pair], pair))
        left[first] = _both(left[first], left.pop(second))
        gaps = {pair: gap for pair, gap in gaps.items() if not {first, second} & {*pair}}
        measure(first, [number for number in left if number != first])
    return list(left.values())


def _both(a: Digit, b: Digit) -> Digit:
    return Digit(
        min(a.top, b.top),
        min(a.left, b.left),
        max(a.bottom, b.bottom),
        max(a.right, b.right),
        a.area + b.area,
        a.parts + b.parts,
    )


def _gap_of_parts(a: Digit, b: Digit, usual: int, alone: bool) -> float | None:
    """Return the gap between two boxes, or None if they cannot be parts of one digit."""
    across = max(a.left, b.left) - min(a.right, b.right)  # below 0 if they share columns
    down = max(a.top, b.top) - min(a.bottom, b.bottom)
    gap = max(0, across, down)
    both = _both(a, b)
    free = alone and both.width >= SLENDER * both.height
    largest = LARGEST_ALONE if free else LARGEST
    if gap > NEAR * usual or both.size > largest * usual:
        return None
    tall = min(a.height, b.height) >= TALL * usual
    if tall and -across < SHARED_COLUMNS * min(a.width, b.width):
        return None
    return gap


def _in_order(digits: list[Digit]) -> list[list[Digit]]:
    """Return the lines of digits from the top, each from the left."""
    lines: list[list[Digit]] = []
    for digit in sorted(digits, key=lambda digit: digit.left + digit.right):
        level = [line for line in lines if _shared_rows(line[-1], digit) >= SHARED_ROWS]
        if level:
            max(level, key=lambda line: line[-1].right).append(digit)
        else:
            lines.append([digit])
    steps = [(_middle(a), _middle(b)) for line in lines for a, b in pairwise(line)]
    along = sum((b[1] - a[1]) ** 2 for a, b in steps)
    slope = sum((b[0] - a[0]) * (b[1] - a[1]) for a, b in steps) / along if along else 0.0

    def height(line: list[Digit]) -> float:
        middles = map(_middle, line)
        return sum(down - slope * across for down, across in middles) / len(line)

    return sorted(lines, key=height)


def _middle(digit: Digit) -> tuple[float, float]:
    return (digit.top + digit.bottom) / 2, (digit.left + digit.right) / 2


def _shared_rows(a: Digit, b: Digit) -> float:
    """Return the share of the lower of two digits' rows that both have."""
    return (min(a.bottom, b.bottom) - max(a.top, b.top)) / min(a.height, b.height)
