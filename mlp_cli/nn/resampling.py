"""Affine maps of images with bilinear interpolation, as NumPy does them."""

from __future__ import annotations

import numpy as np

from mlp_cli.nn.buffers import Array, Warp


def place_pixels(maps: Array, shape: tuple[int, int], s: Warp) -> None:
    """Write the places (k, n) from which maps take each pixel, from the first one, to `s.places`.

    Each of the maps, of at least 6 numbers, begins with A, row by row, and t. It takes the pixel at
    (i, j) from A (i, j) + t, both counted from the middle of the image.
    """
    for axis, (place, size) in enumerate(zip(s.places, shape, strict=True)):
        np.matmul(maps[:, 2 * axis : 2 * axis + 2], s.grid[:2], out=place)
        np.add(place, maps[:, 4 + axis, np.newaxis], out=place)
        np.add(place, (size - 1) / 2, out=place)


def interpolate(s: Warp, shape: tuple[int, int]) -> Array:
    """Return each pixel's value at its place (k, n), in one of the buffers of `s`.

    The images are in `s.padded`, and the places (k, n) in `s.places`, which are lost.
    """
    height, width = shape
    u, v = s.places
    for place, size in ((u, height), (v, width)):
        np.clip(place, -1, size, out=place)
    # From here on, places are those in the padded image, which has a black frame.
    i, j = s.taps[0], s.taps[1]
    np.floor(u, out=i)
    np.floor(v, out=j)
    np.subtract(u, i, out=u)
    np.subtract(v, j, out=v)
    np.multiply(i, width + 3, out=i)
    np.add(i, j, out=i)
    np.add(i, width + 4, out=i)
    np.copyto(s.at, i, casting="unsafe")
    np.add(s.at, s.start, out=s.at)
    for tap, step in zip(s.taps, (0, 1, width + 3 - 1, 1), strict=True):
        np.add(s.at, step, out=s.at)
        np.take(s.padded.reshape(-1), s.at, out=tap, mode="clip")
    upper, right, lower, last = s.taps
    for low, high, share in ((upper, right, v), (lower, last, v), (upper, lower, u)):
        np.subtract(high, low, out=high)
        np.multiply(high, share, out=high)
        np.add(low, high, out=low)
    return upper


def scale_pixels(pixels: Array, x: Array, scale: Array, shift: Array) -> None:
    """Write pixels (k, n), times `scale` and minus `shift`, to x (k, n)."""
    np.multiply(pixels, scale, out=x)
    if shift.any():
        np.subtract(x, shift, out=x)
