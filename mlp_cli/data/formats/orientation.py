"""Images that lie on their side, with rows and columns exchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.formats.collection import Collection
from mlp_cli.nn.buffers import Pixels

TURNED = "turned upright"
SAMPLE = 500  # images that are measured

# Digits and letters are taller than wide. The mean of `_log_ratios` is -0.98 for the training
# images of MNIST, -0.77 for the drawn digits and -0.89 for those of scikit-learn, and the opposite
# if they lie on their side. This limit is half of the smallest; tests/data/test_orientation.py.
WIDE = 0.38


def turn_upright(collection: Collection) -> Collection:
    """Exchange rows and columns of all images, and say so in the remarks."""
    parts = {
        name: replace(part, images=part.images.swapaxes(1, 2))
        for name, part in collection.parts.items()
    }
    return replace(collection, parts=parts, remarks=(*collection.remarks, TURNED))


def are_wide(images: Pixels) -> bool:
    """Whether what is drawn in images (n, height, width) is on average much wider than tall."""
    ratios = _log_ratios(images[:: -(-len(images) // SAMPLE)].astype(np.float32))
    return bool(ratios.size and ratios.mean() > WIDE)


def _log_ratios(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log(horizontal / vertical variance of the ink), for each image that has both.

    Ink is what differs from the median, which is the paper of a drawing, be it black or white. A
    coordinate counts from 0 to 1, so that the form of the images themselves does not matter.
    """
    ink = np.abs(images - np.median(images, axis=(1, 2), keepdims=True))
    across, down = _variance(ink.sum(axis=1)), _variance(ink.sum(axis=2))
    drawn = (across > 0) & (down > 0)
    ratios: NDArray[np.float32] = np.log(across[drawn] / down[drawn])
    return ratios


def _variance(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the variance (n,) of the positions 0 … 1 in lines of n weights; 0 if all are 0."""
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-6))
    place = np.linspace(0, 1, weights.shape[1], dtype=np.float32)
    mean = shares @ place
    variance: NDArray[np.float32] = (shares * (place - mean[:, None]) ** 2).sum(axis=1)
    return variance
