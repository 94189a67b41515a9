"""Records the operations on images, and what the first layer can skip of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlp_cli.compute.fast.image_opcodes import (
    DrawField,
    LookUp,
    MakeView,
    ReadImages,
    ResampleImages,
)
from mlp_cli.compute.fast.skip_zeros import Inputs
from mlp_cli.compute.fast.writer import Writer
from mlp_cli.nn.buffers import Array, Bits, Field, Pixels, Rows, Warp
from mlp_cli.nn.image_ops import ImageOps
from mlp_cli.nn.views import View, ViewBuffer

SAMPLE = 1000  # images of which the lit pixels are counted


class ImageRecorder(Writer, ImageOps):
    """Operations on images that are recorded and not done, for one worker.

    Parameters
    ----------
    inputs
        The buffers of inputs by their addresses, which all workers share.

    Attributes
    ----------
    own
        The inputs in which a worker finds black pixels, by the addresses of their buffers.
    """

    def __init__(self, inputs: dict[int, Inputs]) -> None:
        super().__init__()
        self._inputs = inputs
        self.own: dict[int, Inputs] = {}
        self._may_be_black = True

    def read_images(
        self,
        images: Pixels,
        rows: Rows,
        prefetch_rows: Rows,
        x: Array,
        scale: Array,
        shift: Array,
        s: Pixels,
    ) -> None:
        """Record the reading of images."""
        N, n = images.shape
        assert all(array.flags.c_contiguous for array in (images, rows, prefetch_rows, x))
        scale, shift = (np.array(np.broadcast_to(each, n)) for each in (scale, shift))
        sizes = len(rows), n, N, len(prefetch_rows)
        self.write(ReadImages(images, rows, prefetch_rows, x, scale, shift, *sizes))
        self._note_inputs(x, -shift, images)

    def look_up(
        self, labels: Pixels, rows: Rows, found: Pixels, one_hot: Array, y: Array, s: Rows
    ) -> None:
        """Record the reading of labels."""
        operands = labels, rows, found, one_hot, y
        assert all(array.flags.c_contiguous for array in operands)
        self.write(LookUp(*operands, len(rows), len(one_hot), len(labels)))

    def draw_field(self, field: Field, key: Bits, origin: Rows, first: int) -> None:
        """Record the filling of a field."""
        shape = field.noise.shape
        self.write(DrawField(field.noise, field.t, key, origin, first, *shape))

    def warp(
        self,
        images: Pixels,
        rows: Rows,
        maps: Array,
        field: Array,
        x: Array,
        scale: Array,
        shift: Array,
        s: Warp,
    ) -> None:
        """Record a distortion."""
        assert all(array.flags.c_contiguous for array in (images, rows, maps, field, x))
        scale, shift = (np.array(np.broadcast_to(each, x.shape[1])) for each in (scale, shift))
        height, _, width = field.shape
        operands = images, rows, maps, field, x, scale, shift, s.padded
        sizes = len(rows), len(images), height, width
        self.write(ResampleImages(*operands, *sizes))
        self._note_inputs(x, -shift, images)

    def make_views(
        self,
        views: Sequence[View],
        images: Pixels,
        source: Array,
        x: Array,
        scale: Array,
        shift: Array,
        s: ViewBuffer,
    ) -> None:
        """Record the making of views."""
        assert source.flags.c_contiguous and x.strides[1] == x.itemsize
        padded, (count, n) = s.warp.padded, source.shape
        scratch = padded, s.edges.planes, s.edges.lines
        height, width = padded.shape[1] - 3, padded.shape[2] - 3
        for number, (is_upright, *constants) in enumerate(views):
            part = slice(number * n, (number + 1) * n)
            operands = source, x[:, part], scale[part], shift[part], *scratch
            sizes = count, height, width, x.shape[1], is_upright
            self.write(MakeView(*operands, *sizes), *constants)
        self._note_inputs(x, -shift, images)

    def forget_inputs(self, z: Array) -> None:
        """Note that something is added to z: if it holds inputs, none of them is black any more."""
        if any(z.base is inputs.x for inputs in self.own.values()):
            self.own, self._may_be_black = {}, False

    def _note_inputs(self, x: Array, background: Array, images: Pixels) -> None:
        """Note that x holds inputs, and what they are if a pixel is black."""
        whole = x if x.base is None else x.base
        address = whole.ctypes.data
        if not self._may_be_black or x.dtype != np.float32 or whole.shape[1] != x.shape[1]:
            return
        if address not in self._inputs:
            some = images[:: -(-len(images) // SAMPLE)]
            density = np.count_nonzero(some) / some.size
            self._inputs[address] = Inputs(whole, background, density)
        self.own[address] = self._inputs[address]
