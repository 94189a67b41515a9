"""What the operations of a training step work on, beside plain arrays: buffers that go together.

Each is made once, before the first step. Shapes and names as in `network`. This module imports
NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Bits = NDArray[np.uint64]


class Block(NamedTuple):
    """What an update meets of each vector: p, g, the rule's slots, scratch, and the decay λ."""

    p: Array
    g: Array
    slots: Sequence[Array]
    s: Array
    decay: float


class Drawn(NamedTuple):
    """What is drawn for some lines, of all lines of a matrix: a dropout's mask, or noise.

    r (L, w) holds it. The lines are those of the matrix from `first` on; `places` (L, ⌈w / 4⌉)
    numbers their elements in fours, from the first of all lines, and s, t are scratch.
    """

    r: Array
    first: int
    places: Bits
    s: Bits
    t: Bits

    @classmethod
    def over(cls, r: Array, first: int) -> Drawn:
        """Make what draws r (L, w)."""
        lines, width = r.shape
        fours = -(-width // 4)
        places = (first * fours + np.arange(lines * fours, dtype=np.uint64)).reshape(lines, fours)
        return cls(r, first, places, np.empty_like(places), np.empty_like(places))


class Norm(NamedTuple):
    """What batch normalisation keeps of some neurons of a layer, from forward to backward.

    γ (m,), the running mean and variance (m,); and of a minibatch ẑ (K, m), 1 / σ (m,), and scratch
    (m,), (m,) and (K, m).
    """

    gamma: Array
    running_mean: Array
    running_variance: Array
    hat: Array
    inverse: Array
    mean: Array
    variance: Array
    s: Array


class Field(NamedTuple):
    """Two numbers for each pixel of k images, (height, 2 k, width), the first of all images first.

    `places` (height, 2 k, ⌈width / 4⌉) numbers the pixels in fours as if the first of the images
    were the first of all; s, t and u are scratch.
    """

    noise: Array
    s: Array
    places: Bits
    t: Bits
    u: Bits

    @classmethod
    def of(cls, k: int, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Field:
        """Make a field of zeros for k images of a shape."""
        height, width = shape
        fours = -(-width // 4)
        image = np.arange(2 * height * fours, dtype=np.uint64).reshape(2, 1, height, fours)
        start = np.arange(k, dtype=np.uint64)[:, np.newaxis, np.newaxis] * np.uint64(image.size)
        places = np.moveaxis((start + image).reshape(2 * k, height, fours), 0, 1).copy()
        noise = np.zeros((height, 2 * k, width), dtype)
        return cls(noise, np.empty_like(noise), places, *(np.empty_like(places) for _ in range(2)))


class Warp(NamedTuple):
    """What NumPy needs to take k images from elsewhere in them: a grid, and scratch.

    `grid` (3, height · width) holds each pixel's i and j from the centre, and 1.
    """

    grid: Array
    pixels: Pixels
    padded: Array
    places: tuple[Array, Array]
    taps: tuple[Array, ...]
    at: Rows
    start: Rows

    @classmethod
    def of(cls, k: int, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Warp:
        """Make what k images of a shape need."""
        height, width = shape
        i, j = np.indices(shape).reshape(2, -1)
        grid = np.array([i - (height - 1) / 2, j - (width - 1) / 2, np.ones(i.size)], dtype)
        padded = np.zeros((k, height + 3, width + 3), dtype)
        whole = (k, height * width)
        return cls(
            grid,
            np.empty(whole, np.uint8),
            padded,
            (np.empty(whole, dtype), np.empty(whole, dtype)),
            tuple(np.empty(whole, dtype) for _ in range(4)),
            np.empty(whole, np.int64),
            np.arange(k)[:, np.newaxis] * padded[0].size,
        )
