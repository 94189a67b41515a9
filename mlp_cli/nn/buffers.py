"""The types of arrays, and the buffers that an operation needs together.

Each buffer is made once, before the first step. Shapes and names are those of `backprop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Bits = NDArray[np.uint64]


def columns_first(K: int, m: int, dtype: np.dtype[Any]) -> Array:
    """Return an array (K, m) that holds the K values of a neuron side by side, as z, a and δ do.

    The columns of a worker are then one piece of memory. And no product has two transposed factors:
    for small ones of that kind, the AVX-512 kernel of OpenBLAS 0.3.31 writes wrong numbers if two
    threads are in it at once.
    """
    return np.empty((m, K), dtype).T


class Block(NamedTuple):
    """A piece of each vector of an update: p, g, the slots of the rule, scratch, and λ."""

    p: Array
    g: Array
    slots: Sequence[Array]
    s: Array
    decay: float


class RandomBuffer(NamedTuple):
    """Random numbers for some lines of a matrix: a dropout mask, or noise.

    r (L, w) holds the numbers of L lines, from line `first` of the matrix on. `places`
    (L, ⌈w / 4⌉) numbers their elements in fours, counted from the first line of the matrix. s and t
    are scratch.
    """

    r: Array
    first: int
    places: Bits
    s: Bits
    t: Bits

    @classmethod
    def over(cls, r: Array, first: int) -> RandomBuffer:
        """Return the buffer that fills r (L, w)."""
        lines, width = r.shape
        fours = -(-width // 4)
        places = (first * fours + np.arange(lines * fours, dtype=np.uint64)).reshape(lines, fours)
        return cls(r, first, places, np.empty_like(places), np.empty_like(places))


class Norm(NamedTuple):
    """What batch normalisation keeps of some neurons of a layer, from forward to backward pass.

    γ, the running mean and the running variance (m,); of a minibatch ẑ (K, m) and 1 / σ (m,);
    scratch of (m,), (m,) and (K, m); and ∂C/∂γ (m,).
    """

    gamma: Array
    running_mean: Array
    running_variance: Array
    hat: Array
    inverse: Array
    mean: Array
    variance: Array
    s: Array
    dgamma: Array


class Field(NamedTuple):
    """Two random numbers for each pixel of k images: `noise` (height, 2 k, width).

    `places` (height, 2 k, ⌈width / 4⌉) numbers the pixels in fours, as if the first of the k images
    were the first of all. s, t and u are scratch.
    """

    noise: Array
    s: Array
    places: Bits
    t: Bits
    u: Bits

    @classmethod
    def of(cls, k: int, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Field:
        """Return a field of zeros for k images of this shape."""
        height, width = shape
        fours = -(-width // 4)
        image = np.arange(2 * height * fours, dtype=np.uint64).reshape(2, 1, height, fours)
        start = np.arange(k, dtype=np.uint64)[:, np.newaxis, np.newaxis] * np.uint64(image.size)
        places = np.moveaxis((start + image).reshape(2 * k, height, fours), 0, 1).copy()
        noise = np.zeros((height, 2 * k, width), dtype)
        return cls(noise, np.empty_like(noise), places, *(np.empty_like(places) for _ in range(2)))


class Warp(NamedTuple):
    """What NumPy needs to resample k images: a grid, and scratch.

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
        """Return the buffers for k images of this shape."""
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
            np.arange(k)[:, np.newaxis] * (height + 3) * (width + 3),
        )
