"""Distorted images: every one drawn anew in every epoch, by an affine map and an elastic field.

An output pixel at (i, j) takes its value from the source at (u, v), between four pixels:

    (u, v) = centre + A (i − centre, j − centre) + t + α · (F₀, F₁)(i, j)

A is a rotation, a shear and a scaling, t a shift. F is noise, uniform in (−1, 1) at each pixel and
smoothed by a Gaussian of σ pixels: two matrix products, G F Gᵀ, with G_ij ∝ exp(−(i − j)² / 2σ²)
(Simard, Steinkraus and Platt, 2003). What lies outside of an image is black.

Everything drawn is a function of the seed, the epoch and the place in its order, whoever computes
it and in whatever portions. The images of a chunk share σ; all else is each image's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlp_cli.nn.buffers import Array, Field, Pixels, Rows, Warp
from mlp_cli.nn.ops import Operations

NUMBERS = 7  # of an image's map: A row by row, t, α
PORTION = 32  # images whose fields and pixels stay in the cache from one operation to the next


@dataclass(frozen=True)
class Distortion:
    """How far images are distorted: largest amounts to either side, and ranges of the field.

    Rotation is in degrees, shift and σ in pixels; scale and shear are shares. `elastic` is the
    range of α, 0 for no field, `smoothness` that of σ. In the last share `ease` of the training
    all of it shrinks, linearly, to `eased`.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: tuple[float, float] = (0.0, 0.0)
    smoothness: tuple[float, float] = (4.0, 4.0)
    ease: float = 0.0
    eased: float = 0.0

    def strength(self, progress: float) -> float:
        """Return how strong they are, of 1, when so much of the training, of 1, is behind."""
        late = max(0.0, progress - (1 - self.ease))
        return 1 - (1 - self.eased) * late / self.ease if late else 1.0


def smoothing(n: int, sigma: float) -> Array:
    """Return G (n, n): each row a Gaussian of deviation σ, of sum 1 before the edges cut it."""
    at = np.arange(n)
    weights: Array = np.exp(-((at[:, np.newaxis] - at) ** 2) / (2 * sigma**2))
    return weights / (math.sqrt(2 * math.pi) * sigma)


class Distorter:
    """Distorts the images of a chunk, portion by portion, in buffers made once.

    Parameters
    ----------
    distortion
        How far.
    shape
        (height, width) of the images.
    capacity
        Images of a chunk.
    parts
        How many threads distort, each its own images of a portion.
    dtype
        float32 or float64.
    """

    def __init__(
        self,
        distortion: Distortion,
        shape: tuple[int, int],
        capacity: int,
        parts: int,
        dtype: np.dtype[np.floating],
    ) -> None:
        self._distortion = distortion
        self._shape = height, width = shape
        self._maps = np.zeros((capacity, NUMBERS), dtype)
        self._origin = np.zeros(1, np.int64)
        self._key = np.zeros(1, np.uint64)
        self._across, self._down = (
            np.empty((width, width), dtype),
            np.empty((height, height), dtype),
        )
        self._buffers: list[dict[int, tuple[Field, Warp]]] = [{} for _ in range(parts)]
        self._dtype = dtype

    def begin(self, drawn: np.random.Generator, offset: int, n: int, strength: float) -> None:
        """Draw for n images of a chunk, from its image `offset` on.

        `drawn` is the chunk's own; distortions are `strength` times as large as they may be.
        """
        of, capacity = self._distortion, len(self._maps)
        ranges = np.array([of.rotation, of.shear, of.scale, of.scale, of.shift, of.shift])
        amounts = drawn.uniform(-1, 1, (capacity, len(ranges))) * (ranges * strength)
        angle, shear = np.deg2rad(amounts[:, 0]), amounts[:, 1]
        cos, sin = np.cos(angle), np.sin(angle)
        maps = np.zeros((capacity, NUMBERS))  # α is 0 where there is no field
        down, across = 1 + amounts[:, 2], 1 + amounts[:, 3]
        # rotation · shear · scaling
        maps[:, 0], maps[:, 1] = cos * down, (cos * shear - sin) * across
        maps[:, 2], maps[:, 3] = sin * down, (sin * shear + cos) * across
        maps[:, 4:6] = amounts[:, 4:6]
        if of.elastic[1] > 0:
            maps[:, 6] = drawn.uniform(*of.elastic, capacity) * strength
            sigma = float(drawn.uniform(*of.smoothness))
            self._key[...] = drawn.integers(0, 2**64, 1, np.uint64)
            for G in (self._down, self._across):
                G[...] = smoothing(len(G), sigma)
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
        part: int,
        do: Operations,
    ) -> None:
        """Write distorted images, times `scale` and less `shift`, to x (k, inputs).

        They are those at `rows` (k,) of the images, from the chunk's image `first` on; of these it
        is the part that calls.
        """
        for start in range(0, len(rows), PORTION):
            own = rows[start : start + PORTION]
            k = len(own)
            if k not in self._buffers[part]:
                made = Field.of(k, self._shape, self._dtype), Warp.of(k, self._shape, self._dtype)
                self._buffers[part][k] = made
            field, warp = self._buffers[part][k]
            if self._distortion.elastic[1] > 0:
                height, width = self._shape
                do.noise(field, self._key, self._origin, first + start)
                do.product(field.noise.reshape(-1, width), self._across, field.s.reshape(-1, width))
                do.product(self._down, field.s.reshape(height, -1), field.noise.reshape(height, -1))
            maps = self._maps[first + start : first + start + k]
            do.warp(images, own, maps, field.noise, x[start : start + k], scale, shift, warp)
