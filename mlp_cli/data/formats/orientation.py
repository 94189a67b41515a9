"""Images that lie on their side, with rows and columns exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.formats.collection import Collection
from mlp_cli.nn.buffers import Pixels

TURNED = "turned upright"
SAMPLE = 500  # images that are measured
SIDE = 128  # rows and columns of each that are looked at, at most: others are skipped evenly

# Digits and letters are taller than wide: `width_ratio` is -0.98 for the training images of MNIST,
# -0.79 for the drawn digits and -0.89 for those of scikit-learn, as tests/data/test_recognising.py
# checks. If they lie on their side, the sign is the other. This limit is about half of these.
WIDE = 0.4


def turn_upright(collection: Collection) -> Collection:
    """Exchange rows and columns of all images, and say so in the remarks."""
    parts = {
        name: replace(part, images=part.images.swapaxes(1, 2))
        for name, part in collection.parts.items()
    }
    return replace(collection, parts=parts, remarks=(*collection.remarks, TURNED))


def are_wide(images: Pixels) -> bool:
    """Whether what is drawn in images (n, height, width) is on average much wider than tall."""
    return width_ratio(images) > WIDE


def width_ratio(images: Pixels) -> float:
    """Return log(horizontal / vertical variance of the ink), the mean of some of the images.

    Ink is what differs from the median, which is the paper of a drawing, be it black or white.
    Coordinates run from 0 to 1, so that the form of the images themselves does not matter. Images
    without ink do not count; if there is no other, the result is 0.
    """
    every, row, column = (
        -(-n // most) for n, most in zip(images.shape, (SAMPLE, SIDE, SIDE), strict=True)
    )
    some = images[::every, ::row, ::column].astype(np.float32)
    ink = np.abs(some - np.median(some, axis=(1, 2), keepdims=True))
    across, down = _variance(ink.sum(axis=1)), _variance(ink.sum(axis=2))
    drawn = (across > 0) & (down > 0)
    return float(np.log(across[drawn] / down[drawn]).mean()) if drawn.any() else 0.0


def _variance(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the variance (n,) of the positions 0 … 1 in lines of n weights; 0 if all are 0."""
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-6))
    place = np.linspace(0, 1, weights.shape[1], dtype=np.float32)
    mean = shares @ place
    variance: NDArray[np.float32] = (shares * (place - mean[:, None]) ** 2).sum(axis=1)
    return variance
