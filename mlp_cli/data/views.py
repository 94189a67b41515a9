"""The views of images as a configuration names them, and how they become inputs.

`nn.views` has their mathematics. A view is taken of each image after its distortion, so the views
of an image that is distorted anew in each epoch are new in each epoch too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mlp_cli.data.distortion import PORTION
from mlp_cli.nn.buffers import Array, Pixels
from mlp_cli.nn.ops import Ops
from mlp_cli.nn.views import View, ViewBuffer

SIDE, HEIGHT = 28, 20  # of MNIST's images, and of the digits in them
EDGES = {"rising": 1, "falling": -1}

# Writes some of the images that are read to an array (n, pixels), with a scale and a shift.
ReadImages = Callable[[slice, Array, Array, Array], None]


class Views(NamedTuple):
    """The views that a network sees side by side, of images of a shape (height, width)."""

    shape: tuple[int, int]
    views: tuple[View, ...]


def build_views(names: Sequence[str], shape: tuple[int, int]) -> Views | None:
    """Return the views by the names of `data.views`, or None if there is just the image itself.

    The N of width-N, and the height, 20, are pixels of an image of 28 × 28. They grow with the
    image.
    """
    if [*names] == ["raw"]:
        return None
    return Views(shape, tuple(_view(name, shape) for name in names))


def _view(name: str, shape: tuple[int, int]) -> View:
    first, _, last = name.partition("-")
    if first == "width":
        return View(True, HEIGHT * shape[0] / SIDE, int(last) * shape[1] / SIDE)
    return View(first == "upright", edges=EDGES.get(last or first, 0))


class Viewer:
    """Makes the views of images, portion by portion, in buffers made once.

    Parameters
    ----------
    views
        The views.
    scale, shift
        Of the inputs, scalars or (inputs,): they are a view times `scale` and minus `shift`.
    dtype
        float32 or float64.
    """

    def __init__(
        self, views: Views, scale: Array, shift: Array, dtype: np.dtype[np.floating]
    ) -> None:
        self._views, self._dtype = views, dtype
        self._pixels = views.shape[0] * views.shape[1]
        inputs = len(views.views) * self._pixels
        self._scale, self._shift = (np.broadcast_to(of, inputs).copy() for of in (scale, shift))
        self._as_it_is = np.ones((), dtype), np.zeros((), dtype)  # another scale and shift
        self._buffers: dict[tuple[int, int], tuple[Array, ViewBuffer]] = {}

    def read(
        self, read_images: ReadImages, images: Pixels, x: Array, worker: int, ops: Ops
    ) -> None:
        """Write the views of k images, scaled, to x (k, inputs).

        `read_images` reads some of the k images (n, pixels) from `images` and writes them to an
        array.
        """
        # Once also if k is 0: compiled code must know in each worker what x holds.
        for start in range(0, max(len(x), 1), PORTION):
            own = slice(start, min(start + PORTION, len(x)))
            source, buffer = self._buffers_for(own.stop - own.start, worker)
            read_images(own, source, *self._as_it_is)
            views = self._views.views
            ops.make_views(views, images, source, x[own], self._scale, self._shift, buffer)

    def _buffers_for(self, n: int, worker: int) -> tuple[Array, ViewBuffer]:
        if (n, worker) not in self._buffers:
            source = np.empty((n, self._pixels), self._dtype)
            self._buffers[n, worker] = source, ViewBuffer.of(n, self._views.shape, self._dtype)
        return self._buffers[n, worker]
