"""Loops that find the edges of an image by their direction (`nn.edges`)."""

from __future__ import annotations

import math

from mlp_cli.compute.fast.intrinsics import jit
from mlp_cli.nn.edges import FAINT, MARGIN, SMOOTHING, WHITE

_DIAGONAL = math.sqrt(2)
_FAR, _NEAR, _OWN = SMOOTHING[: MARGIN + 1]  # of places two away, one away, and of the place itself


@jit
def frame(image, padded, height, width):
    """Copy an image into its black frame, `padded` (height + 3, width + 3)."""
    for i in range(height):
        inner = padded[(i + 1) * (width + 3) + 1 :][:width]
        inner[:] = image[i * width :][:width]


@jit
def find_edges(sign, image, out, padded, planes, lines, height, width):
    """Write the edges of an image to `out`, which may be the image: rising, or falling if −1."""
    frame(image, padded, height, width)
    _find_strengths(sign, padded, planes, height, width)
    line = width + 2 * MARGIN
    size = (height + 2 * MARGIN) * line
    even, odd = lines[:line], lines[line:]
    real = image.dtype.type
    none, faint, bend = real(0), real(FAINT), real(2 / WHITE)
    for i in range(height):
        start = 2 * (i % 2) * size + i * line
        _smooth_rows(planes[start:], even)
        _smooth_rows(planes[start + size :], odd)
        row = out[i * width :][:width]
        for j in range(width):
            z = _smoothed(even, j) if j % 2 == 0 else _smoothed(odd, j)
            u = max(z - faint, none)
            row[j] = real(3) * u / (real(1) + bend * u)


@jit
def _find_strengths(sign, padded, planes, height, width):
    """Write the strengths of g in the directions from 0° to 135°, a plane for each."""
    real, line = planes.dtype.type, width + 2 * MARGIN
    size, none, quarter, diagonal = (
        (height + 2 * MARGIN) * line, real(0), real(sign / 4), real(_DIAGONAL),
    )  # fmt: skip
    for i in range(height):
        above = padded[i * (width + 3) :][: width + 2]
        own = padded[(i + 1) * (width + 3) :][: width + 2]
        below = padded[(i + 2) * (width + 3) :][: width + 2]
        start = (i + MARGIN) * line + MARGIN
        right, lower_right = planes[start:][:width], planes[start + size :][:width]
        down, lower_left = planes[start + 2 * size :][:width], planes[start + 3 * size :][:width]
        for j in range(width):
            before = above[j] + below[j] + (own[j] + own[j])
            after = above[j + 2] + below[j + 2] + (own[j + 2] + own[j + 2])
            upper = above[j] + above[j + 2] + (above[j + 1] + above[j + 1])
            lower = below[j] + below[j + 2] + (below[j + 1] + below[j + 1])
            g_i, g_j = quarter * (lower - upper), quarter * (after - before)
            right[j] = max(g_j - abs(g_i), none)
            lower_right[j] = diagonal * max(min(g_i, g_j), none)
            down[j] = max(g_i - abs(g_j), none)
            lower_left[j] = diagonal * max(min(g_i, -g_j), none)


@jit
def _smooth_rows(plane, out):
    """Write the mean row of the first rows of a plane, as `SMOOTHING` weighs them."""
    n, real = len(out), out.dtype.type
    far, near, own = real(_FAR), real(_NEAR), real(_OWN)
    first, second, third = plane[:n], plane[n:][:n], plane[2 * n :][:n]
    fourth, last = plane[3 * n :][:n], plane[4 * n :][:n]
    for j in range(n):
        out[j] = far * (first[j] + last[j]) + near * (second[j] + fourth[j]) + own * third[j]


@jit
def _smoothed(row, j):
    """Return the mean of five pixels of a row from pixel j on, as `SMOOTHING` weighs them."""
    real = row.dtype.type
    ends, middle = row[j] + row[j + 4], row[j + 1] + row[j + 3]
    return real(_FAR) * ends + real(_NEAR) * middle + real(_OWN) * row[j + 2]
