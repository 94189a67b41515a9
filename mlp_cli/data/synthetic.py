"""Synthetic digits: a data set that the program draws in a second or two, without a download.

Each digit has a few ways of writing it, as people have. A way is a set of strokes through points of
a grid. For each image one way is chosen and changed at random: first every point moves a little by
itself, then a quadratic map moves all points together (position, size, slant, slope, bend). A round
pen of random width and brightness draws smooth curves through the moved points, with grain. As in
MNIST, ink is bright, paper is 0, and an image has 28×28 pixels.

The set is hard for a linear classifier and easy for a network with a small hidden layer, so it
shows whether a network learns. It is no substitute for MNIST: accuracies on it say nothing about
MNIST.

The bytes are the same on every machine. All random numbers are PCG64's uniform floats, and the
arithmetic is addition, subtraction, multiplication, division, square root, comparison and
truncation, element by element. IEEE 754 defines each of these to the last bit. The last bits of
sines, matrix products and long sums differ between machines.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Pen = tuple[Floats, NDArray[np.intp], Floats]

TRAIN, TEST = 10_000, 2_000
SEED = 28
SIDE = 28
# Images drawn at once: so few that their buffers stay in the cache. The order of the random numbers
# depends on it, so another value gives other images.
BLOCK = 64

# The ways to write each digit. A way is a tuple of strokes, a stroke is a sequence of points, and a
# point is its column (0 to 6) and its row (0, the top, to 9). A stroke is a smooth curve: a corner
# needs two strokes that meet.
WAYS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("30 11 03 06 18 39 58 66 63 51 30",),
        ("51 30 11 03 06 18 39 58 66 63 52 41",),
    ),
    (
        ("30 33 36 39",),
        ("13 30", "30 33 36 39"),
        ("12 30", "30 33 36 39", "19 39 59"),
    ),
    (
        ("02 10 40 62 54 26 09", "09 39 69"),
        ("02 10 40 62 54 26 08 17 38 59 68",),
    ),
    (
        ("01 20 50 62 53 24", "24 54 66 58 39 19 08"),
        ("00 30 60", "60 24", "24 54 66 58 39 19 08"),
    ),
    (
        ("10 03 05", "05 35 65", "50 54 59"),
        ("10 04 25 55", "60 55 49"),
        ("40 05", "05 35 65", "40 44 49"),
    ),
    (
        ("60 40 10", "10 04", "04 33 54 66 58 39 19 08"),
        ("10 04", "04 33 54 66 58 39 19 08", "10 30 61"),
    ),
    (
        ("50 21 04 07 19 49 67 55 25 06",),
        ("30 13 06 18 39 58 56 35 16",),
    ),
    (
        ("00 30 60", "60 44 29"),
        ("00 30 60", "60 44 29", "15 35 55"),
        ("02 00", "00 30 60", "60 44 39"),
    ),
    (
        ("34 53 51 30 11 13 34 55 67 58 39 18 07 15 34",),
        ("51 30 11 12 34 56 67 58 39 18 07 16 34 52 51",),
    ),
    (
        ("61 30 11 03 15 35 53 61", "61 65 59"),
        ("61 30 11 03 15 35 53 61", "61 66 48 29 18"),
    ),
)

# The random quadratic map: for each term the bounds of its coefficient in x and in y. A point at
# (u, v) moves to (x, y). Both are measured from the centre of the grid, to the right and down, in
# half heights of a digit.
MAP = (
    # term       in x            in y
    ("1", (-0.32, 0.32), (-0.32, 0.32)),  # position
    ("u", (0.75, 1.15), (-0.15, 0.15)),  # width; slope
    ("v", (-0.45, 0.10), (0.75, 1.05)),  # slant; height
    ("uu", (0.00, 0.00), (-0.20, 0.20)),  # bend of horizontal strokes
    ("uv", (-0.15, 0.15), (-0.10, 0.10)),  # taper
    ("vv", (-0.10, 0.10), (0.00, 0.00)),  # bend of vertical strokes
)
HALF_HEIGHT = 8.5  # pixels
JITTER = 0.08  # the most that a point moves by itself in u and in v, in half heights
RADIUS = (0.75, 1.75)  # of the pen, in pixels
INK = (170.0, 255.0)  # brightness of a pixel that is fully covered
GRAIN = 0.2  # the largest share of the ink that may be missing in a pixel
SPACING = 0.45  # between the pen's stops, in rows


def draw_digits() -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """Return training images (10,000, 28, 28) and labels (10,000,), then 2,000 of both for testing.

    All are uint8. Every digit occurs equally often, in random order. There is no argument and no
    state: each call returns the same bytes.
    """
    generator = np.random.Generator(np.random.PCG64(SEED))
    return *_draw_set(TRAIN, generator), *_draw_set(TEST, generator)


def draw_sample(n: int) -> Pixels:
    """Return n digits (n, 28, 28) that belong to neither set, the same ones at each call."""
    return _draw_set(n, np.random.Generator(np.random.PCG64(SEED + 1)))[0]


def _draw_set(n: int, generator: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Draw n images (n, 28, 28) and their labels (n,)."""
    order = np.argsort(generator.random(n), kind="stable")
    labels = (order % len(WAYS)).astype(np.uint8)
    way = generator.random(n)
    images = np.empty((n, SIDE, SIDE), np.uint8)
    for digit, ways in enumerate(WAYS):
        for i, strokes in enumerate(ways):
            pen = _pen(strokes)
            rows = np.flatnonzero((labels == digit) & (np.floor(way * len(ways)) == i))
            for start in range(0, len(rows), BLOCK):
                block = rows[start : start + BLOCK]
                x, y = _path(pen, len(block), generator)
                images[block] = _ink(x, y, generator)
    return images, labels


def _pen(strokes: tuple[str, ...]) -> Pen:
    """Return the K stops of a pen that follows strokes through P different points.

    Returns
    -------
    points
        (2, P) u and v of the points.
    near
        (4, K) for each stop, the indices of the four points that determine it.
    weights
        (4, K) the weights of these points: a stop is their weighted sum.
    """
    names = sorted({name for stroke in strokes for name in stroke.split()})
    places = [(int(name[0]), int(name[1])) for name in names]
    near, weights = [], []
    for stroke in strokes:
        path = [names.index(name) for name in stroke.split()]
        closed = path[0] == path[-1]
        path = [path[-2 if closed else 0], *path, path[1 if closed else -1]]
        for four in (path[i : i + 4] for i in range(len(path) - 3)):
            stops = math.ceil(math.dist(places[four[1]], places[four[2]]) / SPACING)
            near += [four] * (stops + 1)
            weights += [_catmull_rom(i / stops) for i in range(stops + 1)]
    points = (np.array(places).T - [[3.0], [4.5]]) / 4.5
    return points, np.array(near).T, np.array(weights).T


def _catmull_rom(t: float) -> tuple[float, float, float, float]:
    """Return the weights of four points; t runs from 0 at the second point to 1 at the third."""
    return (
        (-t + 2 * t * t - t * t * t) / 2,
        (2 - 5 * t * t + 3 * t * t * t) / 2,
        (t + 4 * t * t - 3 * t * t * t) / 2,
        (-t * t + t * t * t) / 2,
    )


def _path(pen: Pen, n: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Move a pen's stops at random for n images; return their x and y (K, n) in pixels."""
    points, near, weights = pen
    jitter = JITTER * (2 * generator.random((*points.shape, n)) - 1)
    u, v = points[:, :, None] + jitter
    terms = {"1": np.ones_like(u), "u": u, "v": v, "uu": u * u, "uv": u * v, "vv": v * v}
    x, y = np.zeros_like(u), np.zeros_like(u)
    for term, in_x, in_y in MAP:
        x += _between(in_x, n, generator) * terms[term]
        y += _between(in_y, n, generator) * terms[term]
    x_stops, y_stops = np.zeros((2, near.shape[1], n))
    for point, weight in zip(near, weights, strict=True):
        x_stops += weight[:, None] * x[point]
        y_stops += weight[:, None] * y[point]
    centre = (SIDE - 1) / 2
    return centre + HALF_HEIGHT * x_stops, centre + HALF_HEIGHT * y_stops


def _ink(x: Floats, y: Floats, generator: np.random.Generator) -> Pixels:
    """Return n images (n, 28, 28) that a round pen draws through the stops x and y (K, n)."""
    n = x.shape[1]
    pixel = np.arange(SIDE)[:, None]
    dx2 = np.square(pixel - x[:, None, :], dtype=np.float32)  # (K, 28, n)
    dy2 = np.square(pixel - y[:, None, :], dtype=np.float32)
    nearest = np.full((SIDE, SIDE, n), np.inf, np.float32)  # squared distance to the path
    # Further from a stop than the ink reaches in any of the images, the stop changes nothing.
    for across, down, columns, rows in zip(dx2, dy2, _reached(x), _reached(y), strict=True):
        part = nearest[rows, columns]
        np.minimum(part, down[rows, None, :] + across[columns], out=part)
    cover = np.clip(_between(RADIUS, n, generator) + 0.5 - np.sqrt(nearest), 0, 1)
    grain = 1 - GRAIN * generator.random(cover.shape, np.float32)
    ink = cover * grain * _between(INK, n, generator)
    return ink.transpose(2, 0, 1).astype(np.uint8)


def _reached(places: Floats) -> list[slice]:
    """Return the rows (or columns) that the ink around K stops at places (K, n) may reach."""
    reach = RADIUS[1] + 0.5
    first = np.ceil(places.min(axis=1) - reach).clip(0).astype(int)
    end = np.floor(places.max(axis=1) + reach + 1).clip(0).astype(int)
    return [slice(*ends) for ends in zip(first.tolist(), end.tolist(), strict=True)]


def _between(bounds: tuple[float, float], n: int, generator: np.random.Generator) -> Floats:
    """Draw n uniform numbers between two bounds."""
    low, high = bounds
    return low + (high - low) * generator.random(n)
