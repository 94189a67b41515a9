"""Connected components of a mask: pixels of ink that touch, also at their corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.pictures.windows import Mask

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Components:
    """The components of a mask: for each its box (bottom and right are exclusive) and its area.

    `runs` are the ink runs of all rows, in order: start and end in the mask with a blank column at
    its right, read row by row. `owner` is the component of each run.
    """

    shape: tuple[int, int]
    runs: tuple[Integers, Integers]
    owner: Integers
    top: Integers
    bottom: Integers
    left: Integers
    right: Integers
    area: Integers

    @property
    def labels(self) -> Integers:
        """The component of each pixel of the mask, row by row."""
        return np.repeat(self.owner, self.runs[1] - self.runs[0])

    def contact(self) -> Integers:
        """Return how many pixels of each component lie on the four edges (4, n) of the mask.

        The edges are top, bottom, left and right.
        """
        height, width = self.shape
        start, end = self.runs
        row, lengths, ones = start // (width + 1), end - start, np.ones_like(start)
        edges = (
            (row == 0, lengths),
            (row == height - 1, lengths),
            (start % (width + 1) == 0, ones),
            (end % (width + 1) == width, ones),
        )
        counts = [np.bincount(self.owner[on], pixels[on], len(self)) for on, pixels in edges]
        return np.array(counts).astype(np.int64)

    def __len__(self) -> int:
        return len(self.area)

    def mask(self, chosen: Mask) -> Mask:
        """Return the mask of the chosen components."""
        height, width = self.shape
        change = np.zeros(height * (width + 1) + 1, np.int8)
        kept = chosen[self.owner]
        change[self.runs[0][kept]] += 1
        change[self.runs[1][kept]] -= 1
        flat = np.cumsum(change[:-1], dtype=np.int8) > 0
        return flat.reshape(height, width + 1)[:, :width]


def components(mask: Mask) -> Components:
    """Return the components of a mask, in the order of their first pixels, row by row."""
    height, width = mask.shape
    stride = width + 1
    flat = np.zeros((height, stride), np.int8)
    flat[:, :width] = mask
    change = np.diff(flat.ravel(), prepend=0)
    start, end = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
    owner = _joined(start, end, stride)
    _, owner = np.unique(owner, return_inverse=True)  # numbered by their first runs
    n = int(owner.max()) + 1 if len(owner) else 0
    row = start // stride
    top, left = np.full(n, height), np.full(n, width)
    bottom, right = np.zeros(n, np.int64), np.zeros(n, np.int64)
    np.minimum.at(top, owner, row)
    np.maximum.at(bottom, owner, row + 1)
    np.minimum.at(left, owner, start - row * stride)
    np.maximum.at(right, owner, end - row * stride)
    area = np.bincount(owner, end - start, n).astype(np.int64)
    return Components((height, width), (start, end), owner, top, bottom, left, right, area)


def _joined(start: Integers, end: Integers, stride: int) -> Integers:
    """Return for each run the number of the first run of its component."""
    # A run touches those of the row above that end after its left and start before its right.
    first = np.searchsorted(end, start - stride, "left")
    last = np.searchsorted(start, end - stride, "right")
    counts = np.maximum(last - first, 0)
    run = np.repeat(np.arange(len(start)), counts)
    above = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts) + first[run]
    owner = np.arange(len(start))
    while True:
        low = np.minimum(owner[run], owner[above])
        before = owner.copy()
        np.minimum.at(owner, before[run], low)
        np.minimum.at(owner, before[above], low)
        owner = owner[owner]
        if np.array_equal(owner, before):
            return owner
