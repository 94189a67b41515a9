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
def warp(pixels, rows, maps, field, x, scale, shift, padded, height, width):
    """Copy the images of the rows into x, each by its affine map and its elastic field, scaled."""
    # `padded` (height + 3, width + 3) has a black frame, so no pixel needs a test of its place.
    real, k, inputs, line = x.dtype.type, len(rows), height * width, width + 3
    one, middle_i, middle_j = real(1), real((height - 1) / 2), real((width - 1) / 2)
    for n in range(k):
        image, own = pixels[rows[n] * inputs :][:inputs], maps[n * 7 :][:7]
        for i in range(height):
            inner = padded[(i + 1) * line + 1 :][:width]
            for j in range(width):
                inner[j] = real(image[i * width + j])
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
