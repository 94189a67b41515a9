"""Plain array steps of the preparation: scaling, and means and maxima of windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]


def box_mean(picture: Grey, radius: int) -> Grey:
    """Return the mean of each pixel's window of 2 · radius + 1 rows and columns.

    At the edges, only the pixels of the window that exist are counted.
    """
    for _ in range(2):
        n = len(picture)
        sums = np.zeros((n + 1, picture.shape[1]))
        np.cumsum(picture, axis=0, dtype=np.float64, out=sums[1:])
        first = np.maximum(np.arange(n) - radius, 0)
        last = np.minimum(np.arange(n) + radius + 1, n)
        mean = (sums[last] - sums[first]) / (last - first)[:, None]
        picture = mean.astype(np.float32).T
    return picture


def closing(picture: Grey, radius: int) -> Grey:
    """Return the minimum of the window maxima: it fills what is dark and narrower than a window."""
    return -maximum(-maximum(picture, radius), radius)


def maximum(picture: Grey, radius: int) -> Grey:
    """Return the maximum of each pixel's window, by maxima of 2, 4, 8, … rows, then of columns."""
    for _ in range(2):
        picture = np.pad(picture, ((radius, radius), (0, 0)), constant_values=-np.inf)
        width, wanted = 1, 2 * radius + 1
        while 2 * width <= wanted:
            picture = np.maximum(picture[:-width], picture[width:])
            width *= 2
        if width < wanted:
            rest = wanted - width
            picture = np.maximum(picture[:-rest], picture[rest:])
        picture = picture.T
    return picture


def reduced(picture: NDArray[np.number], side: int) -> Grey:
    """Return the picture with its longer side reduced to `side` pixels, if it is longer."""
    height, width = picture.shape
    longer = max(height, width, side)
    rows, columns = (max(1, round(n * side / longer)) for n in (height, width))
    return scaled(picture, rows, columns)


def scaled(picture: NDArray[np.number], rows: int, columns: int) -> Grey:
    """Return the picture with that many rows and columns.

    An axis is shortened by means of the area that each new pixel covers, and lengthened by linear
    interpolation between the centres of pixels.
    """
    return _scaled_rows(_scaled_rows(picture, rows).T, columns).T


def _scaled_rows(picture: NDArray[np.number], rows: int) -> Grey:
    n = len(picture)
    new = np.empty((rows, picture.shape[1]), np.float32)
    for row in range(rows):
        if rows <= n:
            start, end = row * n / rows, (row + 1) * n / rows
            first, last = int(start), min(n, int(np.ceil(end)))
            edges = np.clip(np.arange(first, last + 1), start, end)
            weights = np.diff(edges) / (end - start)
        else:
            centre = min(max((row + 0.5) * n / rows - 0.5, 0), n - 1)
            first = min(int(centre), n - 2) if n > 1 else 0
            last = first + 2 if n > 1 else 1
            weights = np.array([1 - centre + first, centre - first][: last - first])
        new[row] = (weights.astype(np.float32)[:, None] * picture[first:last]).sum(axis=0)
    return new


def dilated(image: Grey, radius: float) -> Grey:
    """Return each pixel's maximum over a disc with a soft edge; a zero radius changes nothing."""
    reach = int(np.ceil(radius))
    height, width = image.shape
    padded = np.pad(image, reach)
    new = image.copy()
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            weight = min(1, radius + 1 - np.hypot(down, right))
            if weight > 0 and (down or right):
                top, left = reach + down, reach + right
                moved = padded[top : top + height, left : left + width]
                np.maximum(new, np.float32(weight) * moved, out=new)
    return new
