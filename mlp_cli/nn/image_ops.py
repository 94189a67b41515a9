"""The operations that bring images and labels to the network, as NumPy does them.

Shapes: K examples, n pixels of an image; k images that are distorted together.
"""

from __future__ import annotations

import numpy as np

from mlp_cli.nn.buffers import Array, Bits, Field, Pixels, Rows, Warp
from mlp_cli.nn.splitmix import GOLDEN, mix


class ImageOps:
    """Reading, resampling and the random fields of distortions."""

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
        np.multiply(x, scale, out=x)
        if shift.any():
            np.subtract(x, shift, out=x)

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
        of each pixel is given by the `maps` (k, 7) and the field (height, 2 k, width), whose first
        k images move along u and the others along v.
        """
        height, two_k, width = field.shape
        k = two_k // 2
        np.take(images, rows, axis=0, out=s.pixels, mode="clip")
        np.copyto(s.padded[:, 1 : height + 1, 1 : width + 1], s.pixels.reshape(k, height, width))
        u, v = s.places
        for axis, (place, size) in enumerate(((u, height), (v, width))):
            np.matmul(maps[:, 2 * axis : 2 * axis + 2], s.grid[:2], out=place)
            np.add(place, maps[:, 4 + axis, np.newaxis], out=place)
            np.add(place, (size - 1) / 2, out=place)
            move, out = s.taps[0].reshape(k, height, width), place.reshape(k, height, width)
            np.multiply(
                field[:, axis * k : (axis + 1) * k].transpose(1, 0, 2),
                maps[:, 6, np.newaxis, np.newaxis],
                out=move,
            )
            np.add(out, move, out=out)
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
        np.multiply(upper, scale, out=x)
        if shift.any():
            np.subtract(x, shift, out=x)
