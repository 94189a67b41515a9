"""The images and the initial weights of every rival, without any code of `mlp`."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lib.workload import DISTORTION, Workload
from numpy.typing import NDArray

SCALE = 1 / 255  # a pixel as a number in [0, 1]
SIDE = 28  # pixels along each side of an image

# Of batch normalisation: ε, and the share of a running statistic that a new minibatch gets.
EPSILON, NEW_SHARE = 1e-5, 0.1


class Images(NamedTuple):
    """Pixels (n, 784) and labels (n,), both uint8."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class Mnist(NamedTuple):
    """The training images, limited to the workload's samples, and all test images."""

    train: Images
    test: Images


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in an IDX file of bytes; the file may be raw, or gzipped as `.gz`."""
    raw = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    return values.copy()  # writable, as PyTorch requires


def read_mnist(folder: Path | str, samples: int | None = None) -> Mnist:
    """Read the four files in a folder, and only the first `samples` training images."""

    def images(prefix: str, n: int | None) -> Images:
        pixels = read_idx(Path(folder) / f"{prefix}-images-idx3-ubyte")[:n]
        labels = read_idx(Path(folder) / f"{prefix}-labels-idx1-ubyte")[:n]
        return Images(pixels.reshape(len(pixels), -1), labels)

    return Mnist(images("train", samples), images("t10k", None))


def first_weights(work: Workload, seed: int) -> list[tuple[NDArray, NDArray]]:
    """Draw W (m, n) from N(0, 2/n), as `mlp` does for relu, and b (m,) = 0 for each layer."""
    generator = np.random.default_rng(seed)
    return [
        (
            (generator.standard_normal((m, n)) * np.sqrt(2 / n)).astype(work.dtype),
            np.zeros(m, work.dtype),
        )
        for n, m in zip(work.sizes[:-1], work.sizes[1:], strict=True)
    ]


def smoothing() -> NDArray[np.float64]:
    """Return G (28, 28), which smooths a field F of noise to G F Gᵀ: each row a Gaussian."""
    at, sigma = np.arange(SIDE), DISTORTION["smoothness"][0]
    weights = np.exp(-((at[:, np.newaxis] - at) ** 2) / (2 * sigma**2))
    return weights / (np.sqrt(2 * np.pi) * sigma)


def share_right(predict: Callable[[NDArray[np.uint8]], Sequence[int]], images: Images) -> float:
    """Return the accuracy of `predict`, which gets a thousand images at a time."""
    right = 0
    for start in range(0, len(images.labels), 1000):
        found = np.asarray(predict(images.pixels[start : start + 1000]))
        right += int(np.count_nonzero(found == images.labels[start : start + 1000]))
    return right / len(images.labels)
