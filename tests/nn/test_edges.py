"""Edges by direction, against a computation pixel by pixel and by properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp_cli.nn.edges import EdgeBuffer, find_edges

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))


def edges(sign: int, images: np.ndarray, dtype: str = "float64") -> np.ndarray:
    """Return the edges of images (k, height, width)."""
    buffer = EdgeBuffer.of(len(images), images.shape[1:], np.dtype(dtype))
    found = find_edges(sign, images.reshape(len(images), -1).astype(dtype), buffer)
    return found.reshape(images.shape).copy()


def strengths(g_i: float, g_j: float) -> list[float]:
    """Return the lengths of the two vectors that g is the sum of, in eight directions."""
    angle = math.atan2(g_i, g_j) % (2 * math.pi)
    first = int(angle // (math.pi / 4)) % 8
    within, length = angle - first * math.pi / 4, math.hypot(g_i, g_j)
    found = [0.0] * 8  # by the law of sines, in the triangle of g and the two vectors
    found[first] = length * math.sin(math.pi / 4 - within) / math.sin(math.pi / 4)
    found[(first + 1) % 8] = length * math.sin(within) / math.sin(math.pi / 4)
    return found


def plain_edges(sign: int, image: np.ndarray) -> np.ndarray:
    """Return the edges of an image, pixel by pixel."""
    height, width = image.shape
    p = np.pad(image, 1)
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    planes = np.zeros((8, height + 4, width + 4))
    for i, j in np.ndindex(image.shape):
        around = p[i : i + 3, j : j + 3]
        g_i, g_j = (sobel.T * around).sum(), (sobel * around).sum()
        planes[:, i + 2, j + 2] = strengths(g_i, g_j)
    out = np.empty(image.shape)
    weights = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    for i, j in np.ndindex(image.shape):
        direction = 2 * (i % 2) + j % 2 + (0 if sign == 1 else 4)
        u = max((weights * planes[direction, i : i + 5, j : j + 5]).sum() - 4, 0)
        out[i, j] = 3 * u / (1 + 2 * u / 255)
    return out


@settings(max_examples=60)
@given(seeds, shapes, st.sampled_from([1, -1]))
def test_every_pixel_agrees_with_a_plain_computation(
    seed: int, shape: tuple[int, int], sign: int
) -> None:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (2, *shape)) * (generator.random((2, *shape)) < 0.5)
    for image, found in zip(images, edges(sign, images), strict=True):
        np.testing.assert_allclose(found, plain_edges(sign, image), rtol=1e-9, atol=1e-9)


@settings(max_examples=40)
@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_falling_edges_are_the_rising_ones_of_an_image_turned_by_half_a_turn(
    seed: int, half_height: int, half_width: int
) -> None:
    # With an odd number of rows and columns, pixels with one direction keep it.
    shape = 2 * half_height - 1, 2 * half_width - 1
    image = np.random.default_rng(seed).uniform(0, 255, (1, *shape))
    turned = edges(1, image[:, ::-1, ::-1])[:, ::-1, ::-1]
    np.testing.assert_allclose(edges(-1, image), turned, atol=1e-9)


def test_an_edge_shows_in_its_own_direction_alone() -> None:
    image = np.zeros((1, 20, 20))
    image[:, :, 10:] = 255  # it gets brighter to the right, and darker behind its last column
    rising, falling = (edges(sign, image)[0, 5:15, :17] for sign in (1, -1))
    u = 255 * 10 / 16 - 4  # two neighbours have the whole rise, and weights of 6 and 4
    assert rising[1, 10] == pytest.approx(3 * u / (1 + 2 * u / 255))
    assert np.count_nonzero(rising[::2]) == 0  # the rows 5, 7 …, which show 90° and 135°
    assert np.count_nonzero(rising[1::2, 1::2]) == 0  # 45°
    assert np.count_nonzero(falling) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(28, 28), (5, 1), (1, 6), (1, 1)])
def test_black_and_odd_images_have_finite_edges(shape: tuple[int, int], dtype: str) -> None:
    images = np.zeros((3, *shape))
    images[1, shape[0] // 2, shape[1] // 2] = images[2] = 255
    for sign in (1, -1):
        found = edges(sign, images, dtype)
        assert np.isfinite(found).all()
        assert found.min() >= 0 and found.max() < 255
        assert not found[0].any()


def test_edges_do_not_depend_on_the_images_beside_them() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (33, 28, 28))
    for dtype in ("float32", "float64"):
        together = edges(1, images, dtype)
        alone = np.concatenate([edges(1, image[np.newaxis], dtype) for image in images])
        np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_that_edges_need_is_of_one_type(dtype: str) -> None:
    down, across, *arrays = EdgeBuffer.of(2, (5, 3), np.dtype(dtype))
    assert {array.dtype.name for array in (*down, *across, *arrays)} == {dtype}
