"""Distorted images, drawn anew in every epoch: an affine map, an elastic field, other strokes.

An output pixel at (i, j) takes its value from the source at (u, v), interpolated between four
pixels:

    (u, v) = centre + A (i − centre, j − centre) + t + α · (F₀, F₁)(i, j)

A is a rotation, a shear and a scaling, and t is a shift. F is noise, uniform in (−1, 1) at each
pixel and smoothed by a Gaussian of σ pixels: two matrix products, G F Gᵀ, with
G_ij ∝ exp(−(i − j)² / 2σ²) (Simard, Steinkraus and Platt, 2003). Outside an image all is black.
Strokes of the source become thicker or thinner first (`nn.strokes`).

Everything that is drawn is a function of the seed, the epoch and the place in its order, whoever
computes it and in whatever portions. The images of a chunk share σ; all else is each image's own.
"""

from __future__ import annotations

import math

import numpy as np

from mlp_cli.config.sections import DistortionConfig
from mlp_cli.nn.buffers import Array, Field, Pixels, Rows, Warp
from mlp_cli.nn.ops import Ops

NUMBERS = 8  # of the map of an image: A row by row, t, α, and the thickness of its strokes
PORTION = 32  # images whose fields and pixels stay in the cache from one operation to the next


def strength(config: DistortionConfig, progress: float) -> float:
    """Return the strength of distortions (0 to 1) at a training progress of 0 to 1."""
    late = max(0.0, progress - (1 - config.ease))
    return 1 - (1 - config.eased) * late / config.ease if late else 1.0


def weakened(config: DistortionConfig, share: float) -> DistortionConfig:
    """Return the same distortions at a share (0 to 1) of their strength."""
    low, high = config.elastic
    names = "rotation", "scale", "shear", "shift", "thickness"
    sizes = {name: share * getattr(config, name) for name in names}
    return config.model_copy(update={**sizes, "elastic": (share * low, share * high)})


def smoothing(n: int, sigma: float) -> Array:
    """Return G (n, n): each row a Gaussian of deviation σ, with sum 1 before the edges cut it."""
    at = np.arange(n)
    weights: Array = np.exp(-((at[:, np.newaxis] - at) ** 2) / (2 * sigma**2))
    return weights / (math.sqrt(2 * math.pi) * sigma)


class Distorter:
    """Distorts the images of a chunk, portion by portion, in buffers made once.

    Parameters
    ----------
    config
        How far images are distorted.
    shape
        (height, width) of the images.
    capacity
        Images of a chunk.
    workers
        The number of threads that distort, each its own images of a portion.
    dtype
        float32 or float64.
    """

    def __init__(
        self,
        config: DistortionConfig,
        shape: tuple[int, int],
        capacity: int,
        workers: int,
        dtype: np.dtype[np.floating],
    ) -> None:
        self._config = config
        self._shape = height, width = shape
        self._maps = np.zeros((capacity, NUMBERS), dtype)
        self._origin = np.zeros(1, np.int64)
        self._key = np.zeros(1, np.uint64)
        self._across, self._down = (
            np.empty((width, width), dtype),
            np.empty((height, height), dtype),
        )
        self._buffers: list[dict[int, tuple[Field, Warp]]] = [{} for _ in range(workers)]
        self._dtype = dtype

    def begin(self, generator: np.random.Generator, offset: int, n: int, progress: float) -> None:
        """Draw the distortions of n images of a chunk, from image `offset` of the chunk on.

        `generator` is that of the chunk, and `progress` (0 to 1) that of the training.
        """
        config, capacity, size = self._config, len(self._maps), strength(self._config, progress)
        ranges = np.array(
            [config.rotation, config.shear, config.scale, config.scale, config.shift, config.shift]
        )
        amounts = generator.uniform(-1, 1, (capacity, len(ranges))) * (ranges * size)
        angle, shear = np.deg2rad(amounts[:, 0]), amounts[:, 1]
        cos, sin = np.cos(angle), np.sin(angle)
        maps = np.zeros((capacity, NUMBERS))  # α is 0 without a field
        down, across = 1 + amounts[:, 2], 1 + amounts[:, 3]
        # rotation · shear · scaling
        maps[:, 0], maps[:, 1] = cos * down, (cos * shear - sin) * across
        maps[:, 2], maps[:, 3] = sin * down, (sin * shear + cos) * across
        maps[:, 4:6] = amounts[:, 4:6]
        if config.elastic[1] > 0:
            maps[:, 6] = generator.uniform(*config.elastic, capacity) * size
            sigma = float(generator.uniform(*config.smoothness))
            self._key[...] = generator.integers(0, 2**64, 1, np.uint64)
            for G in (self._down, self._across):
                G[...] = smoothing(len(G), sigma)
        if config.thickness > 0:  # drawn last, so that all else is as without it
            maps[:, 7] = generator.uniform(-1, 1, capacity) * config.thickness * size
        self._maps[:n] = maps[offset : offset + n]
        self._origin[0] = offset

    def read(
        self,
        images: Pixels,
        rows: Rows,
        first: int,
        x: Array,
        scale: Array,
        shift: Array,
        worker: int,
        ops: Ops,
    ) -> None:
        """Write distorted images, times `scale` and minus `shift`, to x (k, inputs).

        They are the rows (k,) of `images`, which begin at image `first` of the chunk. A worker
        gives only its share of them.
        """
        # Once also without an image: compiled code must know in each worker what x holds.
        for start in range(0, max(len(rows), 1), PORTION):
            portion = rows[start : start + PORTION]
            k = len(portion)
            if k not in self._buffers[worker]:
                made = Field.of(k, self._shape, self._dtype), Warp.of(k, self._shape, self._dtype)
                self._buffers[worker][k] = made
            field, warp = self._buffers[worker][k]
            if k and self._config.elastic[1] > 0:
                height, width = self._shape
                ops.draw_field(field, self._key, self._origin, first + start)
                noise, s = field.noise, field.s
                ops.product(noise.reshape(-1, width), self._across, s.reshape(-1, width))
                ops.product(self._down, s.reshape(height, -1), noise.reshape(height, -1))
            maps = self._maps[first + start : first + start + k]
            ops.warp(images, portion, maps, field.noise, x[start : start + k], scale, shift, warp)
