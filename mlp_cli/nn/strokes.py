"""The thickness of strokes: each pixel moves towards the brightest or the darkest near it.

With p a pixel, and b and d the brightest and the darkest of it and its four neighbours, an amount w
makes of it

    p + w (b − p)  if w ≥ 0, which makes strokes thicker
    p + |w| (d − p)  if w < 0, which makes them thinner

With w of 1 and −1, these are the dilation and the erosion of a grey image (Serra, "Image Analysis
and Mathematical Morphology", 1982). Pixels at the edge have fewer neighbours. The darkest is the
brightest of the negative, so both are p + w (B − P), with P = p or −p and B the brightest of P.
"""

from __future__ import annotations

import numpy as np

from mlp_cli.nn.buffers import Array, Warp


def change_thickness(images: Array, amounts: Array, s: Warp) -> None:
    """Make the strokes of images (k, height, width) thicker or thinner by amounts (k,), in place.

    It uses the first of the taps of `s`.
    """
    brightest, w = s.taps[0].reshape(images.shape), amounts[:, np.newaxis, np.newaxis]
    sign = np.copysign(1, w)  # a number for each image, so it needs no buffer
    np.multiply(images, sign, out=images)
    np.copyto(brightest, images)
    for mine, other in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
        for out, near in (
            (brightest[:, mine], images[:, other]),
            (brightest[:, :, mine], images[:, :, other]),
        ):
            np.maximum(out, near, out=out)
    np.subtract(brightest, images, out=brightest)
    np.multiply(brightest, w, out=brightest)
    np.multiply(images, sign, out=images)
    np.add(images, brightest, out=images)
