"""Whether what another program computes from an exported file is what the model computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.dataset import whole
from mlp_cli.data.synthetic import draw_sample
from mlp_cli.errors import CheckpointError, ConfigError, DataError, StorageError
from mlp_cli.inference.evaluate import load_data
from mlp_cli.inference.model import Model
from mlp_cli.nn.buffers import Pixels

DRAWN, REAL = 1000, 10_000  # images that are compared, at most
LARGEST = 2**26  # bytes of either, at most
TOLERANCE = 1e-5  # of a probability
LARGE = 100.0  # the rounding of larger logits shows in the probabilities, and more is tolerated

Run = Callable[[bytes, Pixels], NDArray[np.float32]]


class Agreement(NamedTuple):
    """On how many images a file was compared, and the largest difference of a probability."""

    drawn: int
    real: int
    difference: float

    def __str__(self) -> str:
        """Say it in one line."""
        images = f"{self.drawn:,} drawn"
        if self.real:
            images += f" and {self.real:,} training"
        return f"checked: on {images} images, probabilities differ by {self.difference:.1e} at most"


def check(model: Model, content: bytes, run: Run, data_dir: Path) -> Agreement:
    """Compare a file with its model on drawn digits, and on training images if they are there.

    If all probabilities agree, so do the classes, unless two are equally probable.

    Parameters
    ----------
    model, content
        The model, and the content of the file.
    run
        Computes probabilities (n, classes) from the content and images (n, height, width).
    data_dir
        Where MNIST lies, in a folder `mnist`.

    Raises
    ------
    CheckpointError
        If a probability differs by more than `TOLERANCE`.
    """
    drawn, real = drawn_images(model.image_shape), _real_images(model, data_dir)
    images = np.concatenate([drawn, real])
    z = model.logits(whole(images, np.zeros(len(images), np.uint8)))
    expected = np.exp(model.network.loss.log_probabilities(z))
    difference = float(np.abs(run(content, images) - expected).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(z).max()) / LARGE):  # also if it is NaN
        raise CheckpointError(
            f"{model.path}: the exported file gives other probabilities than the network, by up to "
            f"{difference:.1e}, so it is not written. Use another format or another checkpoint."
        )
    return Agreement(len(drawn), len(real), difference)


def drawn_images(shape: tuple[int, int]) -> Pixels:
    """Return drawn digits in this height and width."""
    digits = draw_sample(_most(DRAWN, shape))
    rows, columns = (
        np.arange(size) * drawn // size for size, drawn in zip(shape, digits.shape[1:], strict=True)
    )
    return digits[:, rows[:, np.newaxis], columns]


def _real_images(model: Model, data_dir: Path) -> Pixels:
    """Return the first training images of the model, none if they are not there any more."""
    try:
        train = load_data([model], "train", data_dir, None, lambda _: None).train
    except (ConfigError, DataError, StorageError):
        return np.empty((0, *model.image_shape), np.uint8)
    rows = train.rows[: _most(REAL, model.image_shape)]
    return train.images[rows].reshape(-1, *model.image_shape)


def _most(images: int, shape: tuple[int, int]) -> int:
    """Return how many of so many images may be compared: fewer if they are large."""
    return max(1, min(images, LARGEST // math.prod(shape)))
