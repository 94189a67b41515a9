"""Edges by direction: how much brighter an image gets to the right, to the lower right, and so on.

With p an image, black outside, its gradient is that of Sobel's operator (Pratt, "Digital Image
Processing", 1978), as a rise over two pixels:

    g_i = D p Sᵀ    g_j = S p Dᵀ

D takes the difference of a place's two neighbours, by the weights (−½, 0, ½) around the diagonal,
and S smooths, by (½, 1, ½). 0° is to the right, and 90° down. Of eight directions, 45° apart, g
lies between two, and is the sum of a vector in each. The lengths of these vectors are the strengths
of the edge in the two directions, and in the other six it is 0 (Liu, Nakashima, Sako and Fujisawa,
"Handwritten Digit Recognition: Benchmarking of State-of-the-Art Techniques", 2003). With
[x] = max(x, 0), the strengths from 0° to 135° are

    [g_j − |g_i|]    √2 [min(g_i, g_j)]    [g_i − |g_j|]    √2 [min(g_i, −g_j)]

and those from 180° to 315° are the same of −g. The first four are the rising edges of an image, and
the other four its falling ones. Each strength is smoothed along rows and columns by the weights
(1, 4, 6, 4, 1) / 16, to z. A view shows the four in a pattern of 2 × 2, so that it has as many
pixels as the image:

     0°   45°       at even i, and
    90°  135°       at odd i

What it shows of z, with 255 as white, is

    3 u / (1 + 2 u / 255)    u = [z − 4]

so that weak edges count for more than by z, and the weakest for nothing: the smoothing leaves faint
traces all around a stroke, and without them twice as many pixels are black. The first layer can
leave those out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mlp_cli.nn.buffers import Array

RISE, TRIANGLE = (-0.5, 0.0, 0.5), (0.5, 1.0, 0.5)  # Sobel's operator is their outer product
SMOOTHING = tuple(weight / 16 for weight in (1, 4, 6, 4, 1))
MARGIN = len(SMOOTHING) // 2
WHITE, FAINT = 255, 4


class Bands(NamedTuple):
    """What weighs the places around each of n places, as matrices (n, n)."""

    rise: Array
    triangle: Array
    smoothing: Array

    @classmethod
    def of(cls, n: int, dtype: np.dtype[np.floating]) -> Bands:
        """Return the bands of n places."""
        return cls(*(_band(n, weights, dtype) for weights in (RISE, TRIANGLE, SMOOTHING)))


class EdgeBuffer(NamedTuple):
    """What the edges of k images (height, width) need.

    The bands of rows and of columns; for k images the two parts of g, a strength, the view z, and
    scratch, all (k, height, width). Compiled code has a frame of zeros around the four strengths of
    an image, `planes` (4, height + 4, width + 4), and `lines` (2, width + 4).
    """

    down: Bands
    across: Bands
    g_i: Array
    g_j: Array
    strength: Array
    z: Array
    s: Array
    planes: Array
    lines: Array

    @classmethod
    def of(cls, k: int, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> EdgeBuffer:
        """Return the buffers for k images of this shape."""
        height, width = shape
        g_i, g_j, strength, z, s = (np.empty((k, height, width), dtype) for _ in range(5))
        planes = np.zeros((4, height + 2 * MARGIN, width + 2 * MARGIN), dtype)
        lines = np.empty((2, width + 2 * MARGIN), dtype)
        bands = Bands.of(height, dtype), Bands.of(width, dtype)
        return cls(*bands, g_i, g_j, strength, z, s, planes, lines)


def find_edges(sign: int, images: Array, s: EdgeBuffer) -> Array:
    """Return the edges (k, n) of images (k, n), in one of the buffers of `s`.

    They are the rising ones with a sign of 1, and the falling ones with −1.
    """
    p = images.reshape(s.z.shape)
    for rows, columns, g in (
        (s.down.rise, s.across.triangle, s.g_i),
        (s.down.triangle, s.across.rise, s.g_j),
    ):
        # Image by image, as `matmul` does it: the sums of one do not depend on how many there are.
        np.matmul(p, columns.T, out=s.s)
        np.matmul(rows, s.s, out=g)
        np.multiply(g, sign, out=g)
    for number in range(4):
        i, j = divmod(number, 2)
        _find_strength(number, s)
        part = s.z[:, i::2, j::2]
        rows = _start(s.s, (*s.z.shape[:2], part.shape[2]))
        np.matmul(s.strength, s.across.smoothing[j::2].T, out=rows)
        smooth = np.matmul(s.down.smoothing[i::2], rows, out=_start(s.strength, part.shape))
        np.copyto(part, smooth)
    np.subtract(s.z, FAINT, out=s.z)
    np.maximum(s.z, 0, out=s.z)
    np.multiply(s.z, 2 / WHITE, out=s.s)
    np.add(s.s, 1, out=s.s)
    np.multiply(s.z, 3, out=s.z)
    np.divide(s.z, s.s, out=s.z)
    return s.z.reshape(len(images), -1)


def _find_strength(number: int, s: EdgeBuffer) -> None:
    """Write the strengths of g in a direction, of the four from 0° to 135°, to `s.strength`."""
    if number % 2 == 0:
        own, other = (s.g_j, s.g_i) if number == 0 else (s.g_i, s.g_j)
        np.absolute(other, out=s.s)
        np.subtract(own, s.s, out=s.strength)
    else:
        np.multiply(s.g_j, math.sqrt(2) if number == 1 else -math.sqrt(2), out=s.s)
        np.multiply(s.g_i, math.sqrt(2), out=s.strength)
        np.minimum(s.strength, s.s, out=s.strength)
    np.maximum(s.strength, 0, out=s.strength)


def _start(s: Array, shape: tuple[int, ...]) -> Array:
    """Return the first numbers of a buffer as an array of a shape."""
    return s.reshape(-1)[: math.prod(shape)].reshape(shape)


def _band(n: int, weights: tuple[float, ...], dtype: np.dtype[np.floating]) -> Array:
    """Return a matrix (n, n) whose rows have the weights around the diagonal."""
    band = np.zeros((n, n), dtype)
    for at, weight in enumerate(weights, -(len(weights) // 2)):
        band += weight * np.eye(n, k=at, dtype=dtype)
    return band
