"""Loops over images: their reading, their labels', and their distortion."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.fast.intrinsics import jit, prefetch_all


@jit
def read_images(pixels, rows, prefetch_rows, x, scale, shift, inputs):
    """Copy the images of the rows into x, scaled, and prefetch those of `prefetch_rows`."""
    # The order of the images is random, so the processor cannot guess the next. Waiting for them
    # was a fifth of a small net's step.
    for k in range(len(rows)):
        if k < len(prefetch_rows):
            start = pixels.ctypes.data + prefetch_rows[k] * inputs
            prefetch_all(start, inputs)
        source, out = pixels[rows[k] * inputs :][:inputs], x[k * inputs :][:inputs]
        for j in range(inputs):
            out[j] = x.dtype.type(source[j]) * scale[j] - shift[j]


@jit
def look_up(labels, rows, found, one_hot, y, c):
    """Copy the labels of the rows, as numbers and one-hot."""
    for k in range(len(rows)):
        label = labels[rows[k]]
        found[k] = label
        y[k * c : k * c + c] = one_hot[label * c : label * c + c]


@jit
def _pad(image, padded, height, width, amount):
    """Copy an image into its frame, its strokes thicker or thinner by an amount (`nn.strokes`)."""
    real, line, last = padded.dtype.type, width + 3, width - 1
    for i in range(height):
        row, out = image[i * width :][:width], padded[(i + 1) * line + 1 :][:width]
        if amount == 0:
            for j in range(width):
                out[j] = real(row[j])
            continue
        above = image[max(i - 1, 0) * width :][:width]
        below = image[min(i + 1, height - 1) * width :][:width]
        # The pixels between the first and the last. Slices, so that the loop has no tests.
        middle, left, right = row[1:][: width - 2], row[: width - 2], row[2:]
        inner, upper, lower = out[1:][: width - 2], above[1:][: width - 2], below[1:][: width - 2]
        for j in range(width - 2):
            inner[j] = _moved(middle[j], left[j], right[j], upper[j], lower[j], amount)
        out[0] = _moved(row[0], row[0], row[min(1, last)], above[0], below[0], amount)
        out[last] = _moved(
            row[last], row[max(last - 1, 0)], row[last], above[last], below[last], amount
        )


@jit
def _moved(pixel, left, right, upper, lower, amount):
    """Return a pixel moved towards the brightest near it, or the darkest if the amount is below 0.

    The darkest is the brightest of the negative.
    """
    real = type(amount)
    sign = real(1) if amount > 0 else real(-1)
    p = brightest = sign * real(pixel)
    for near in (left, right, upper, lower):
        brightest = max(brightest, sign * real(near))
    return sign * p + amount * (brightest - p)


@jit
def warp(pixels, rows, maps, field, x, scale, shift, padded, height, width):
    """Copy the images of the rows into x, each by its affine map and its elastic field, scaled."""
    # `padded` (height + 3, width + 3) has a black frame, so no pixel needs a test of its place.
    real, k, inputs, line = x.dtype.type, len(rows), height * width, width + 3
    one, middle_i, middle_j = real(1), real((height - 1) / 2), real((width - 1) / 2)
    for n in range(k):
        own = maps[n * 8 :][:8]
        _pad(pixels[rows[n] * inputs :][:inputs], padded, height, width, own[7])
        for i in range(height):
            move_u = field[(i * 2 * k + n) * width :][:width]
            move_v = field[(i * 2 * k + k + n) * width :][:width]
            at = n * inputs + i * width
            out, times, less = (
                x[at:][:width],
                scale[i * width :][:width],
                shift[i * width :][:width],
            )
            y = real(i) - middle_i
            row_u, row_v = own[0] * y + own[4] + middle_i, own[2] * y + own[5] + middle_j
            for j in range(width):
                z = real(j) - middle_j
                u = row_u + own[1] * z + own[6] * move_u[j]
                v = row_v + own[3] * z + own[6] * move_v[j]
                u = min(max(u, -one), real(height)) + one
                v = min(max(v, -one), real(width)) + one
                p, q = np.int32(u), np.int32(v)
                u, v = u - real(p), v - real(q)
                tap = p * np.int32(line) + q
                upper = padded[tap] + v * (padded[tap + 1] - padded[tap])
                tap += np.int32(line)
                lower = padded[tap] + v * (padded[tap + 1] - padded[tap])
                out[j] = (upper + u * (lower - upper)) * times[j] - less[j]
