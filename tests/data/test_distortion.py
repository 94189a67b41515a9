"""Distorted images against a plain computation, pixel by pixel; portions, easing and training."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.sections import DistortionConfig
from mlp_cli.data.distortion import Distorter, smoothing, strength
from mlp_cli.nn.ops import NUMPY

SHAPE = (9, 6)
STRONG = DistortionConfig(
    rotation=30, scale=0.3, shear=0.4, shift=2, elastic=(5, 20), smoothness=(1, 2), thickness=0.8
)


def installed_kernels() -> list[Kernels]:
    if find_spec("numba") is None:
        return [NumPyKernels()]
    from mlp_cli.compute.fast.kernels import FastKernels

    return [NumPyKernels(), FastKernels()]


def random_images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, math.prod(SHAPE)), np.uint8)


def distort(
    distortion: DistortionConfig,
    images: np.ndarray,
    kernels: Kernels,
    dtype: str = "float64",
    *,
    offset: int = 0,
    cuts: tuple[int, ...] = (),
    progress: float = 0.0,
) -> np.ndarray:
    """Distort the images from `offset` on of a chunk of 50, in portions that end at `cuts`."""
    distorter = Distorter(distortion, SHAPE, 50, 2, np.dtype(dtype))
    distorter.begin(np.random.default_rng(1), offset, len(images), progress)
    x = np.full(images.shape, np.nan, dtype)
    scale, shift = np.array(1 / 255, dtype), np.array(0.25, dtype)
    edges = [0, *cuts, len(images)]
    for portion, (low, high) in enumerate(itertools.pairwise(edges)):
        rows = np.arange(low, high)
        kernels.prepare(
            lambda ops, worker, rows=rows, low=low, high=high, portion=portion: distorter.read(
                images, rows, low, x[low:high], scale, shift, portion % 2, ops
            ),
            ThreadTeam(1),
            np.dtype(dtype),
        )()
    return x


@pytest.mark.parametrize("kernels", installed_kernels(), ids=lambda kernels: kernels.name)
def test_the_default_distortion_does_not_change_images(kernels: Kernels) -> None:
    images = random_images(40)
    found = distort(DistortionConfig(), images, kernels)
    np.testing.assert_allclose(found, images / 255 - 0.25, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernels", installed_kernels(), ids=lambda kernels: kernels.name)
def test_every_pixel_agrees_with_a_plain_computation(kernels: Kernels, dtype: str) -> None:
    images = random_images(40)
    found = distort(STRONG, images, kernels, dtype)
    # The numbers that the distorter draws, in the same order.
    generator = np.random.default_rng(1)
    largest = [30.0, 0.4, 0.3, 0.3, 2.0, 2.0]
    amounts = generator.uniform(-1, 1, (50, 6)) * largest
    alphas = generator.uniform(5, 20, 50)
    sigma = generator.uniform(1, 2)
    key = int(generator.integers(0, 2**64, 1, np.uint64)[0])
    thickness = generator.uniform(-0.8, 0.8, 50)
    height, width = SHAPE
    black = np.zeros((height + 20, width + 20))
    for n, image in enumerate(images):
        angle, shear, down, across, t0, t1 = amounts[n]
        angle = math.radians(angle)
        rotation = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        A = np.array(rotation) @ [[1, shear], [0, 1]] @ np.diag([1 + down, 1 + across])
        fields = []
        for which in range(2):
            noise = np.empty(SHAPE)
            for i in range(height):
                for j in range(width):
                    four = ((n * 2 + which) * height + i) * 2 + j // 4
                    bits = splitmix(four, key) >> 16 * (j % 4) & 0xFFFF
                    noise[i, j] = (bits + 0.5) / 32768 - 1
            fields.append(gaussian(gaussian(noise, sigma).T, sigma).T)
        padded = black.copy()
        padded[10 : 10 + height, 10 : 10 + width] = thickened(
            image.reshape(SHAPE).astype(float), thickness[n]
        )
        for i in range(height):
            for j in range(width):
                middle = np.array([(height - 1) / 2, (width - 1) / 2])
                u, v = middle + A @ ([i, j] - middle) + [t0, t1]
                u, v = u + alphas[n] * fields[0][i, j], v + alphas[n] * fields[1][i, j]
                u, v = min(max(u, -9), height + 8) + 10, min(max(v, -9), width + 8) + 10
                p, q = math.floor(u), math.floor(v)
                upper = padded[p, q] * (1 - v + q) + padded[p, q + 1] * (v - q)
                lower = padded[p + 1, q] * (1 - v + q) + padded[p + 1, q + 1] * (v - q)
                value = (upper * (1 - u + p) + lower * (u - p)) / 255 - 0.25
                assert found[n, i * width + j] == pytest.approx(
                    value, abs=1e-10 if dtype == "float64" else 1e-3
                )


def thickened(image: np.ndarray, amount: float) -> np.ndarray:
    out = image.copy()
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            near = [
                image[p, q]
                for p, q in [(i, j), (i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
                if 0 <= p < image.shape[0] and 0 <= q < image.shape[1]
            ]
            towards = max(near) if amount > 0 else min(near)
            out[i, j] += abs(amount) * (towards - image[i, j])
    return out


def splitmix(place: int, key: int) -> int:
    """Return one number of SplitMix64, as its authors published it."""
    z = (place * 0x9E3779B97F4A7C15 + key) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def gaussian(lines: np.ndarray, sigma: float) -> np.ndarray:
    out = np.zeros_like(lines)
    for i in range(lines.shape[1]):
        for j in range(lines.shape[1]):
            weight = math.exp(-((i - j) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
            out[:, i] += weight * lines[:, j]
    return out


def test_a_gaussian_away_from_the_edges_has_the_sum_1_and_the_right_deviation() -> None:
    G = smoothing(61, 4.0)
    assert G[30].sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(G, G.T)
    deviation = math.sqrt(G[30] @ (np.arange(61) - 30.0) ** 2)
    assert deviation == pytest.approx(4, abs=1e-3)


@pytest.mark.parametrize("kernels", installed_kernels(), ids=lambda kernels: kernels.name)
def test_the_portions_do_not_change_the_images(kernels: Kernels) -> None:
    images = random_images(50)
    whole = distort(STRONG, images, kernels)
    pieces = distort(STRONG, images, kernels, cuts=(7, 8, 41))
    np.testing.assert_allclose(whole, pieces, atol=1e-12)
    later = distort(STRONG, images[13:], kernels, offset=13, cuts=(5,))
    np.testing.assert_allclose(whole[13:], later, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4)])
@pytest.mark.parametrize("kernels", installed_kernels(), ids=lambda kernels: kernels.name)
def test_strokes_of_small_images_change_too(
    kernels: Kernels, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.SHAPE", shape)
    images, strokes = random_images(40), DistortionConfig(thickness=0.9)
    amounts = np.random.default_rng(1)
    amounts.uniform(-1, 1, (50, 6))
    expected = [
        thickened(image.reshape(shape).astype(float), amount).ravel() / 255 - 0.25
        for image, amount in zip(images, amounts.uniform(-0.9, 0.9, 50), strict=False)
    ]
    np.testing.assert_allclose(distort(strokes, images, kernels), expected, atol=1e-12)


def test_the_thickness_of_strokes_changes_nothing_else_that_is_drawn() -> None:
    images = np.full((40, math.prod(SHAPE)), 255, np.uint8)  # without strokes
    same = STRONG.model_copy(update={"thickness": 0.0})
    np.testing.assert_array_equal(
        distort(STRONG, images, NumPyKernels()), distort(same, images, NumPyKernels())
    )


def test_without_an_elastic_field_unset_memory_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, affine = random_images(40), DistortionConfig(rotation=20.0, shift=1.0)
    expected = distort(affine, images, NumPyKernels())
    begin = Distorter.begin

    def begin_in_used_memory(self: Distorter, *arguments: object) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, np.nan, dtype))
            begin(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Distorter, "begin", begin_in_used_memory)
    np.testing.assert_array_equal(distort(affine, images, NumPyKernels()), expected)


def test_distortions_become_weaker_at_the_end_of_a_training() -> None:
    easing = DistortionConfig(ease=0.2, eased=0.5)
    assert [strength(easing, at) for at in (0, 0.5, 0.8)] == [1, 1, 1]
    assert strength(easing, 0.9) == pytest.approx(0.75)
    assert strength(easing, 1) == pytest.approx(0.5)
    assert strength(DistortionConfig(), 1) == 1
    images = random_images(10)
    easing = STRONG.model_copy(update={"ease": 1.0})
    none = distort(easing, images, NumPyKernels(), progress=1.0)
    np.testing.assert_allclose(none, images / 255 - 0.25, atol=1e-12)


def test_a_distorted_training_learns_and_is_scored_on_clean_images(
    mlp: Callable[..., subprocess.CompletedProcess[str]], config: Path, tmp_path: Path
) -> None:
    sets = [
        "--set", "distortion={rotation: 10, shift: 1, elastic: [2, 4], smoothness: [1, 2]}",
        "--set", "training.epochs=8",
    ]  # fmt: skip
    done = mlp("train", "--config", config, "--out", "a", *sets, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test_accuracy"] > 0.9
    lines = [
        json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()
    ]
    assert lines[-1]["train_loss"] > lines[-1]["val_loss"]


def test_reading_images_equals_the_default_distortion() -> None:
    images = random_images(5)
    x = np.empty((5, images.shape[1]))
    rows, scale, shift = np.arange(5), np.array(1 / 255), np.array(0.25)
    NUMPY.read_images(images, rows, rows, x, scale, shift, np.empty_like(images))
    np.testing.assert_allclose(x, distort(DistortionConfig(), images, NumPyKernels()), atol=1e-12)
