"""Loops that make a view of each image: upright, with its box scaled, its edges (`nn.views`)."""

from __future__ import annotations

import numba
import numpy as np

from mlp_cli.compute.fast.edges import find_edges, frame
from mlp_cli.compute.fast.intrinsics import jit, part, pointer
from mlp_cli.nn.edges import MARGIN
from mlp_cli.nn.views import FAR, LARGEST_SCALE, LEAST_VARIANCE, LIT

_LIT, _FAR, _SMALLEST = float(LIT), FAR, 1 / LARGEST_SCALE


@jit
def _find_lean(image, height, width):
    """Return the row of the centre of mass, −slant, and the brightest pixel."""
    middle_i, middle_j = (height - 1) / 2, (width - 1) / 2
    mass = first_i = first_j = both = second = brightest = 0.0
    for i in range(height):
        row, y = image[i * width :][:width], i - middle_i
        whole = moment = 0.0
        for j in range(width):
            p = np.float64(row[j])
            whole += p
            moment += p * (j - middle_j)
            brightest = max(brightest, p)
        mass += whole
        first_i += y * whole
        second += y * y * whole
        first_j += moment
        both += y * moment
    centre = first_i / mass if mass > 0 else 0.0
    variance = mass * second - first_i * first_i
    has_slant = variance > LEAST_VARIANCE * mass * mass
    lean = (mass * both - first_i * first_j) / variance if has_slant else 0.0
    return centre, lean, brightest


@jit
def _find_box(image, height, width, centre, lean, brightest):
    """Return top, bottom, left and right of the upright image, 0 if it is black."""
    middle_i, middle_j = (height - 1) / 2, (width - 1) / 2
    top, bottom, left, right = _FAR, -_FAR, _FAR, -_FAR
    for i in range(height):
        row, y = image[i * width :][:width], i - middle_i
        tallest, nearest, farthest = -_FAR, _FAR, -_FAR
        for j in range(width):
            p, x = _LIT * np.float64(row[j]), j - middle_j
            reach = 1 - brightest / p if p > brightest else -_FAR
            tallest = max(tallest, reach)
            nearest = min(nearest, x - reach)
            farthest = max(farthest, x + reach)
        moved = lean * (y - centre)
        top, bottom = min(top, y - tallest), max(bottom, y + tallest)
        left, right = min(left, nearest - moved), max(right, farthest - moved)
    if brightest > 0:
        return top, bottom, left, right
    return 0.0, 0.0, 0.0, 0.0


@jit
def _resample(image, maps, out, padded, height, width):
    """Write each pixel of an image from where the map takes it."""
    down, lean_down, across, t_i, t_j = maps
    real, line = image.dtype.type, width + 3
    one = real(1)
    frame(image, padded, height, width)
    middle_i, middle_j = real((height - 1) / 2), real((width - 1) / 2)
    for i in range(height):
        y = real(i) - middle_i
        u = min(max(real(down) * y + real(t_i) + middle_i, -one), real(height)) + one
        p = np.int32(u)
        u -= real(p)
        start = real(lean_down) * y + real(t_j) + middle_j
        row = out[i * width :][:width]
        upper, lower = padded[p * line :][:line], padded[(p + 1) * line :][:line]
        for j in range(width):
            v = start + real(across) * (real(j) - middle_j)
            v = min(max(v, -one), real(width)) + one
            q = np.int32(v)
            v -= real(q)
            above = upper[q] + v * (upper[q + 1] - upper[q])
            below = lower[q] + v * (lower[q + 1] - lower[q])
            row[j] = above + u * (below - above)


@jit
def _find_map(image, height, width, box_height, box_width):
    """Return the numbers of an affine map that are not 0 (`nn.views.find_maps`)."""
    centre, lean, brightest = _find_lean(image, height, width)
    top = bottom = left = right = 0.0
    down = across = 1.0
    if box_height > 0:
        top, bottom, left, right = _find_box(image, height, width, centre, lean, brightest)
        down = max((bottom - top) / box_height, _SMALLEST)
        across = max((right - left) / box_width, _SMALLEST)
    middle = (top + bottom) / 2
    return down, lean * down, across, middle, (left + right) / 2 + lean * (middle - centre)


@jit
def _make_view(
    source, x, scale, shift, padded, planes, lines, height, width, stride, is_upright, constants
):
    """Write a view of each image of `source`, scaled, to x, whose rows are `stride` apart."""
    pixels = height * width
    for k in range(len(source) // pixels):
        seen, out = source[k * pixels :][:pixels], x[k * stride :][:pixels]
        if is_upright:
            maps = _find_map(seen, height, width, constants[0], constants[1])
            _resample(seen, maps, out, padded, height, width)
            seen = out
        if constants[2] != 0:
            find_edges(constants[2], seen, out, padded, planes, lines, height, width)
            seen = out
        for j in range(pixels):
            out[j] = seen[j] * scale[j] - shift[j]


@part
def make_view(like, line, at, constants):
    """Run a line of a program that is a `MakeView`, whose operands are `at` these columns."""
    height, width, stride = line[at.height], line[at.width], line[at.stride]
    pixels, real = height * width, like.dtype
    _make_view(
        numba.carray(pointer(line[at.source]), line[at.count] * pixels, real),
        numba.carray(pointer(line[at.x]), line[at.count] * stride, real),
        numba.carray(pointer(line[at.scale]), pixels, real),
        numba.carray(pointer(line[at.shift]), pixels, real),
        numba.carray(pointer(line[at.padded]), (height + 3) * (width + 3), real),
        numba.carray(
            pointer(line[at.planes]), 4 * (height + 2 * MARGIN) * (width + 2 * MARGIN), real
        ),
        numba.carray(pointer(line[at.lines]), 2 * (width + 2 * MARGIN), real),
        height, width, stride, line[at.is_upright], constants,
    )  # fmt: skip
