"""Views of an image: what a network sees of it beside the image itself, or instead.

With the grey values p of an image as mass, ī and j̄ are its centre of mass, and

    slant = −cov(i, j) / var(i)

is the shear that makes it upright: row i moves by slant · (i − ī) to the right, and cov(i, j) is
then 0. The centre of mass stays. Slant is removed so from digits in LeCun, Bottou, Bengio and
Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.

The box of an upright image holds what is brighter than a tenth of its brightest pixel. If it is
scaled to a fixed size, narrow and wide digits look alike: Meier, Cireşan, Gambardella and
Schmidhuber, "Better Digit Recognition with a Committee of Simple Neural Nets", 2011. The box then
lies in the middle of the image.

Such a view is taken from the image in one step, by the affine map of `find_maps`, with bilinear
interpolation. Outside an image all is black. Places count from the middle of an image, so the
pixel (i, j) of (height, width) is at (i − (height − 1) / 2, j − (width − 1) / 2). A view may show
edges in place of brightness (`edges`).

Moments and boxes are computed in float64 in any training, so that they depend on the pixels alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlp_cli.nn.buffers import Array, Flags, Numbers, Warp
from mlp_cli.nn.edges import EdgeBuffer

# An image that varies less from row to row, in pixels², has no slant: it is a row, or black.
LEAST_VARIANCE = 1e-6
LARGEST_SCALE = 8  # of a box, so that a dot does not become the whole image
LIT = 10  # a pixel is lit if so many times its value is above the brightest one
FAR = 1e30  # beyond every place


class View(NamedTuple):
    """A view: whether the slant is removed, the size of the box in pixels, and its edges.

    A size of 0 leaves the box as it is. `edges` is 1 if the view shows rising edges, −1 if it shows
    falling ones, and 0 if it shows brightness.
    """

    is_upright: bool
    height: float = 0.0
    width: float = 0.0
    edges: int = 0


class ViewBuffer(NamedTuple):
    """What NumPy needs for the views of k images of n pixels.

    `grid` (n, 5) holds 1, i, j, i² and ij of each pixel, for the moments (k, 5). `pixels` (k, n)
    are the images in float64, `reach` and `places` (k, n) and `is_lit` (k, n) are scratch, and
    `maps` (k, 6) are those of `find_maps`. With `warp` the images are resampled, and with `edges`
    their edges are found.
    """

    grid: Numbers
    moments: Numbers
    pixels: Numbers
    reach: Numbers
    places: Numbers
    is_lit: Flags
    maps: Array
    warp: Warp
    edges: EdgeBuffer

    @classmethod
    def of(cls, k: int, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> ViewBuffer:
        """Return the buffers for k images of this shape."""
        height, width = shape
        i, j = np.indices(shape, np.float64).reshape(2, -1)
        i -= (height - 1) / 2
        j -= (width - 1) / 2
        grid = np.stack([np.ones_like(i), i, j, i * i, i * j], axis=1)
        return cls(
            grid,
            np.empty((k, 5)),
            np.empty((k, len(grid))),
            np.empty((k, len(grid))),
            np.empty((k, len(grid))),
            np.empty((k, len(grid)), np.bool_),
            np.empty((k, 6), dtype),
            Warp.of(k, shape, dtype),
            EdgeBuffer.of(k, shape, dtype),
        )


def find_moments(source: Array, s: ViewBuffer) -> None:
    """Write the images (k, n) to `s.pixels`, and the sums of p, p i, p j, p i² and p i j."""
    np.copyto(s.pixels, source)
    # Image by image: the sums of one must not depend on how many there are.
    np.matmul(s.pixels[:, np.newaxis], s.grid, out=s.moments[:, np.newaxis])


def find_maps(view: View, shape: tuple[int, int], s: ViewBuffer) -> None:
    """Write the affine maps (k, 6) of an upright view, after `find_moments`.

    Pixel (i, j) of the view is taken from the image at (u, v) = A (i, j) + t. A map is A, row by
    row, and t.
    """
    # These are a few numbers for each image, so they need no buffers.
    mass, i, j, ii, ij = s.moments.T
    centre = np.divide(i, mass, out=np.zeros_like(mass), where=mass > 0)
    variance = mass * ii - i * i
    lean = np.zeros_like(mass)  # −slant
    np.divide(mass * ij - i * j, variance, out=lean, where=variance > LEAST_VARIANCE * mass * mass)
    top = bottom = left = right = np.zeros_like(mass)
    down = across = np.ones_like(mass)
    if view.height:
        top, bottom, left, right = _boxes(centre, lean, shape, s)
        down = np.maximum((bottom - top) / view.height, 1 / LARGEST_SCALE)
        across = np.maximum((right - left) / view.width, 1 / LARGEST_SCALE)
    middle = (top + bottom) / 2
    s.maps[:, 0], s.maps[:, 1] = down, 0
    s.maps[:, 2], s.maps[:, 3] = lean * down, across
    s.maps[:, 4], s.maps[:, 5] = middle, (left + right) / 2 + lean * (middle - centre)


def _boxes(
    centre: Numbers, lean: Numbers, shape: tuple[int, int], s: ViewBuffer
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Return top, bottom, left and right (k,) of the boxes, 0 of a black image.

    A lit pixel p reaches as far as a line from p here to 0 at the next pixel is lit.
    """
    k, (height, width) = len(centre), shape
    brightest = s.pixels.max(axis=1)
    np.multiply(s.pixels, LIT, out=s.reach)
    np.greater(s.reach, brightest[:, np.newaxis], out=s.is_lit)
    s.places.fill(1 + FAR)
    np.divide(brightest[:, np.newaxis], s.reach, out=s.places, where=s.is_lit)
    np.subtract(1, s.places, out=s.reach)
    reach, places = (each.reshape(k, height, width) for each in (s.reach, s.places))
    rows, columns = s.grid[::width, 1], s.grid[:width, 2]
    moved = lean[:, np.newaxis] * (rows - centre[:, np.newaxis])
    left = (np.subtract(columns, reach, out=places).min(axis=2) - moved).min(axis=1)
    right = (np.add(columns, reach, out=places).max(axis=2) - moved).max(axis=1)
    tallest = reach.max(axis=2)
    top, bottom = (rows - tallest).min(axis=1), (rows + tallest).max(axis=1)
    is_there = brightest > 0
    return top * is_there, bottom * is_there, left * is_there, right * is_there
