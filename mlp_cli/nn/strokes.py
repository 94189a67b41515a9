"""The thickness of strokes: each pixel moves towards the brightest or the darkest near it.

With p a pixel, and b and d the brightest and the darkest of it and its four neighbours, an amount w
makes of it

    p + w (b − p)  if w ≥ 0, which makes strokes thicker
    p + |w| (d − p)  if w < 0, which makes them thinner

With w of 1 and −1, these are the dilation and the erosion of a grey image (Serra, "Image Analysis
and Mathematical Morphology", 1982). Pixels at the edge have fewer neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlp_cli.nn.buffers import Array, Warp


def change_thickness(images: Array, amounts: Array, s: Warp) -> None:
    """Make the strokes of images (k, height, width) thicker or thinner by amounts (k,), in place.

    It uses the taps of `s`.
    """
    extreme, move = (tap.reshape(images.shape) for tap in s.taps[:2])
    # A number for each image, so these need no buffers.
    thicker, thinner = np.maximum(amounts, 0), np.maximum(-amounts, 0)
    _find_extremes(images, np.maximum, extreme)
    np.subtract(extreme, images, out=move)
    np.multiply(move, thicker[:, np.newaxis, np.newaxis], out=move)
    _find_extremes(images, np.minimum, extreme)
    np.subtract(extreme, images, out=extreme)
    np.multiply(extreme, thinner[:, np.newaxis, np.newaxis], out=extreme)
    np.add(images, move, out=images)
    np.add(images, extreme, out=images)


def _find_extremes(images: Array, choose: Callable[..., Any], out: Array) -> None:
    """Write the largest, or the smallest, of each pixel and its neighbours."""
    np.copyto(out, images)
    for mine, other in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
        choose(out[:, mine], images[:, other], out=out[:, mine])
        choose(out[:, :, mine], images[:, :, other], out=out[:, :, mine])
