"""The operations that bring images and labels to the network, as NumPy does them.

Shapes: K examples, n pixels of an image; k images that are distorted together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlp_cli.nn.buffers import Array, Bits, Field, Pixels, Rows, Warp
from mlp_cli.nn.edges import find_edges
from mlp_cli.nn.resampling import interpolate, place_pixels, scale_pixels
from mlp_cli.nn.splitmix import GOLDEN, mix
from mlp_cli.nn.strokes import change_thickness
from mlp_cli.nn.views import View, ViewBuffer, find_maps, find_moments


class ImageOps:
    """Reading, resampling, views, and the random fields of distortions."""

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
        """Write rows (K,) of images (N, n), times `scale` and minus `shift`, to x (K, n).

        The next call reads `prefetch_rows`: their images may be fetched ahead.
        """
        # mode="clip" writes straight into `out`; the default mode goes through a copy.
        np.take(images, rows, axis=0, out=s, mode="clip")
        np.copyto(x, s)  # a cast in a pass of its own: inside `multiply` it is buffered
        scale_pixels(x, x, scale, shift)

    def look_up(
        self, labels: Pixels, rows: Rows, found: Pixels, one_hot: Array, y: Array, s: Rows
    ) -> None:
        """Write rows (K,) of labels (N,) to `found` (K,), and their lines of `one_hot` to y."""
        np.take(labels, rows, out=found, mode="clip")
        np.copyto(s, found)  # `take` would make an array for the cast
        np.take(one_hot, s, axis=0, out=y, mode="clip")

    def draw_field(self, field: Field, key: Bits, origin: Rows, first: int) -> None:
        """Fill a field with numbers uniform in (−1, 1), in steps of 2⁻¹⁵.

        They depend on the key (1,) and on the places in all images alone. The first image of the
        field has the number `origin` (1,) plus `first`.
        """
        noise, _, places, t, u = field
        fours = places[:, :2].size  # of an image, which has two numbers for each pixel
        start = (int(origin[0]) + first) * fours * GOLDEN % 2**64
        mix(places, key + np.uint64(start), t, u)
        np.copyto(noise, t.view(np.uint16)[..., : noise.shape[2]])
        np.add(noise, 0.5 - 32768, out=noise)
        np.multiply(noise, 1 / 32768, out=noise)

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
        """Resample images: take each pixel from elsewhere in its image (`data.distortion`).

        x (k, n) receives rows (k,) of images (N, n), times `scale` and minus `shift`. The source
        of each pixel is given by the `maps` (k, 8) and the field (height, 2 k, width), whose first
        k images move along u and the others along v.
        """
        height, two_k, width = field.shape
        k = two_k // 2
        np.take(images, rows, axis=0, out=s.pixels, mode="clip")
        sources = s.padded[:, 1 : height + 1, 1 : width + 1]
        np.copyto(sources, s.pixels.reshape(k, height, width))
        if maps[:, 7].any():
            change_thickness(sources, maps[:, 7], s)
        place_pixels(maps, (height, width), s)
        for axis, place in enumerate(s.places):
            move, out = s.taps[0].reshape(k, height, width), place.reshape(k, height, width)
            np.multiply(
                field[:, axis * k : (axis + 1) * k].transpose(1, 0, 2),
                maps[:, 6, np.newaxis, np.newaxis],
                out=move,
            )
            np.add(out, move, out=out)
        scale_pixels(interpolate(s, (height, width)), x, scale, shift)

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
        """Write views of `source` (k, n), times `scale` and minus `shift`, to x side by side.

        x is (k, n · views), and `scale` and `shift` are (n · views,). The source was read from
        `images` (N, n), and perhaps distorted since.
        """
        n, (_, height, width) = source.shape[1], s.warp.padded.shape
        shape = height - 3, width - 3
        whole = source.reshape(-1, *shape)
        np.copyto(s.warp.padded[:, 1 : shape[0] + 1, 1 : shape[1] + 1], whole)
        find_moments(source, s)
        for number, view in enumerate(views):
            part, seen = slice(number * n, (number + 1) * n), source
            if view.is_upright:
                find_maps(view, shape, s)
                place_pixels(s.maps, shape, s.warp)
                seen = interpolate(s.warp, shape)
            if view.edges:
                seen = find_edges(view.edges, seen, s.edges)
            scale_pixels(seen, x[:, part], scale[part], shift[part])
