"""Views of images: upright ones and scaled boxes, against plain computations and by properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp_cli.data.views import build_views
from mlp_cli.nn.edges import EdgeBuffer, find_edges
from mlp_cli.nn.ops import NUMPY
from mlp_cli.nn.views import LARGEST_SCALE, ViewBuffer

SHAPES = [(28, 28), (11, 17), (30, 9), (5, 1), (1, 6), (1, 1)]
seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 30), st.integers(1, 30))


def view(name: str, images: np.ndarray, dtype: str = "float64") -> np.ndarray:
    """Return a view of images (k, height, width)."""
    k, *shape = images.shape
    views = build_views((name, "raw"), (shape[0], shape[1]))
    assert views is not None
    source = images.reshape(k, -1).astype(dtype)
    x = np.full((k, 2 * source.shape[1]), np.nan, dtype)
    scale, shift = np.ones(x.shape[1], dtype), np.zeros(x.shape[1], dtype)
    buffer = ViewBuffer.of(k, views.shape, np.dtype(dtype))
    NUMPY.make_views(views.views, images.reshape(k, -1), source, x, scale, shift, buffer)
    made, raw = np.split(x, 2, axis=1)
    np.testing.assert_array_equal(raw, source)
    return made.reshape(images.shape)


def places(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    i, j = np.indices(shape).astype(float)
    return i - (shape[0] - 1) / 2, j - (shape[1] - 1) / 2


def slant(image: np.ndarray) -> tuple[float, float, float]:
    """Return the centre of mass, and −cov(i, j) / var(i)."""
    i, j = places(image.shape)
    mean_i, mean_j = np.average(i, weights=image), np.average(j, weights=image)
    variance = np.average((i - mean_i) ** 2, weights=image)
    covariance = np.average((i - mean_i) * (j - mean_j), weights=image)
    return float(mean_i), float(mean_j), -float(covariance / variance)


def tent(place: float, n: int) -> np.ndarray:
    """Return how much each of n pixels counts at a place."""
    return np.maximum(0, 1 - np.abs(np.arange(n) - (n - 1) / 2 - place))


def plain_view(image: np.ndarray, size: tuple[float, float] | None) -> np.ndarray:
    """Return a view of an image, pixel by pixel."""
    height, width = image.shape
    centre, _, moved = slant(image)
    down = across = 1.0
    middle_i = middle_j = 0.0
    if size is not None:
        i, j = places(image.shape)
        edges = []
        for at in zip(*np.nonzero(10 * image > image.max()), strict=True):
            reach = 1 - image.max() / 10 / image[at]
            x = j[at] + moved * (i[at] - centre)
            edges.append((i[at] - reach, -(i[at] + reach), x - reach, -(x + reach)))
        top, bottom, left, right = np.array(edges).min(axis=0) * [1, -1, 1, -1]
        middle_i, middle_j = (top + bottom) / 2, (left + right) / 2
        down = max((bottom - top) / size[0], 1 / LARGEST_SCALE)
        across = max((right - left) / size[1], 1 / LARGEST_SCALE)
    out = np.empty(image.shape)
    for at in np.ndindex(image.shape):
        u = middle_i + down * (at[0] - (height - 1) / 2)
        v = middle_j + across * (at[1] - (width - 1) / 2) - moved * (u - centre)
        out[at] = tent(u, height) @ image @ tent(v, width)
    return out


def blot(seed: int, shape: tuple[int, int] = (28, 28), discs: int = 7) -> np.ndarray:
    """Return an image of a few soft discs around the middle, 0 to 255."""
    generator = np.random.default_rng(seed)
    i, j = places(shape)
    image = np.zeros(shape)
    for _ in range(discs):
        y, x, radius = generator.uniform([-7, -5, 1], [7, 5, 3])
        image = np.maximum(image, np.clip(radius + 0.5 - np.hypot(i - y, j - x), 0, 1))
    return np.floor(image * 255)


@settings(max_examples=40)
@given(seeds, shapes, st.sampled_from(["upright", "width-8", "width-16", "width-28"]))
def test_every_pixel_agrees_with_a_plain_computation(
    seed: int, shape: tuple[int, int], name: str
) -> None:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (2, *shape)) * (generator.random((2, *shape)) < 0.4)
    images[:, shape[0] // 2, shape[1] // 2] = 200
    images[:, 0, 0] = 9  # two rows, if there are two
    found = view(name, images)
    number = name.partition("-")[2]
    size = (20 * shape[0] / 28, int(number) * shape[1] / 28) if number else None
    for image, made in zip(images, found, strict=True):
        if shape[0] > 1:
            np.testing.assert_allclose(made, plain_view(image, size), atol=1e-7)
        elif size is None:
            np.testing.assert_array_equal(made, image)


@settings(max_examples=60)
@given(seeds)
def test_an_upright_image_has_no_covariance_and_keeps_its_centre_of_mass(seed: int) -> None:
    image = blot(seed)
    upright = view("upright", image[np.newaxis])[0]
    before, after = slant(image), slant(upright)
    assert after[2] == pytest.approx(0, abs=1e-9)
    assert after[:2] == pytest.approx(before[:2], abs=1e-9)
    assert upright.sum() == pytest.approx(image.sum())
    np.testing.assert_allclose(view("upright", upright[np.newaxis])[0], upright, atol=1e-6)


@settings(max_examples=60)
@given(seeds, st.sampled_from([-2, -1, 1, 2]))
def test_an_image_sheared_by_hand_is_upright_again(seed: int, shear: int) -> None:
    half = np.random.default_rng(seed).integers(0, 256, (4, 9)).astype(float)
    image = np.zeros((15, 41))
    image[4:8, 16:25] = half
    image[7:11, 16:25] = half[::-1]  # the same above and below the middle row: no slant
    sheared = np.array([np.roll(row, shear * (i - 7)) for i, row in enumerate(image)])
    assert slant(sheared)[2] == pytest.approx(-shear)
    np.testing.assert_allclose(view("upright", sheared[np.newaxis])[0], image, atol=1e-9)


@settings(max_examples=60)
@given(seeds, st.integers(8, 28))
def test_a_box_is_20_high_and_n_wide_to_a_pixel_in_the_middle_of_the_image(
    seed: int, n: int
) -> None:
    image = view(f"width-{n}", blot(seed)[np.newaxis])[0]
    i, j = places(image.shape)
    lit = 10 * image > image.max()
    for at, size in ((i, 20), (j, n)):
        assert np.ptp(at[lit]) + 1 == pytest.approx(size, abs=1.01)
        assert at[lit].min() + at[lit].max() == pytest.approx(0, abs=1.01)


def test_a_box_grows_with_the_image() -> None:
    small, large = blot(0), np.kron(blot(0), np.ones((2, 3)))
    narrow = view("width-14", small[np.newaxis])[0]
    wide = view("width-14", large[np.newaxis])[0]
    lit = 10 * wide > wide.max()
    assert np.count_nonzero(lit.any(axis=1)) == pytest.approx(40, abs=2)
    assert np.count_nonzero(lit.any(axis=0)) == pytest.approx(42, abs=3)
    assert np.abs(wide[::2, 1::3] - narrow).mean() < 10


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["upright", "width-8", "width-28"])
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_images_give_finite_views(shape: tuple[int, int], name: str, dtype: str) -> None:
    images = np.zeros((6, *shape))
    images[1, shape[0] // 2, shape[1] // 2] = 255  # a dot
    images[2, -1, -1] = 1
    images[3, 0] = 255  # a line along a row
    images[4, :, 0] = 255  # a line along a column
    images[5] = 255
    found = view(name, images, dtype)
    assert np.isfinite(found).all()
    assert found.min() >= 0 and found.max() <= 255
    np.testing.assert_array_equal(found[0], 0)
    assert found[1].any() or name != "upright"


@settings(max_examples=20)
@given(seeds, shapes)
def test_edges_of_an_upright_image_are_those_of_its_view(seed: int, shape: tuple[int, int]) -> None:
    images = np.stack([blot(seed, shape), blot(seed + 1, shape)])
    upright = view("upright", images)
    buffer = EdgeBuffer.of(2, shape, np.dtype("float64"))
    for name, sign in (("rising", 1), ("falling", -1)):
        for found, of in ((view(name, images), images), (view(f"upright-{name}", images), upright)):
            expected = find_edges(sign, of.reshape(2, -1), buffer).reshape(of.shape)
            np.testing.assert_array_equal(found, expected)


def test_a_dot_grows_to_at_most_8_times_its_size() -> None:
    image = np.zeros((1, 28, 28))
    image[0, 3, 20] = 255
    found = view("width-28", image)[0]
    lit = 10 * found > found.max()
    assert np.count_nonzero(lit.any(axis=0)) == np.count_nonzero(lit.any(axis=1)) == 14


def test_a_row_has_no_slant_and_two_rows_have() -> None:
    image = np.zeros((1, 9, 20))
    image[0, 4, 5:15] = 200
    np.testing.assert_array_equal(view("upright", image), image)
    image[0, 5, 10:15] = 200
    assert slant(view("upright", image)[0])[2] == pytest.approx(0, abs=1e-9)


@settings(max_examples=20)
@given(seeds)
def test_float32_agrees_with_float64(seed: int) -> None:
    images = np.stack([blot(seed + i) for i in range(3)])
    for name in ("upright", "width-12"):
        found, expected = view(name, images, "float32"), view(name, images)
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_view_does_not_depend_on_the_images_beside_it() -> None:
    images = np.stack([blot(seed) for seed in range(7)])
    together = view("width-20", images)
    alone = np.concatenate([view("width-20", image[np.newaxis]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_each_view_has_its_own_scale_and_shift() -> None:
    images = np.random.default_rng(0).random((3, 7, 5))
    views = build_views(("raw", "upright"), (7, 5))
    assert views is not None
    x = np.empty((3, 70))
    scale, shift = np.arange(1.0, 71), np.arange(70.0)
    NUMPY.make_views(
        views.views, images.reshape(3, -1), images.reshape(3, -1), x, scale, shift,
        ViewBuffer.of(3, (7, 5), np.dtype("float64")),
    )  # fmt: skip
    plain = np.concatenate([images, view("upright", images)], axis=1).reshape(3, -1)
    np.testing.assert_array_equal(x, plain * scale - shift)


def test_raw_alone_needs_no_views() -> None:
    assert build_views(("raw",), (28, 28)) is None
    names = ("raw", "upright", "width-16", "rising", "upright-falling")
    views = build_views(names, (28, 56))
    assert views is not None
    assert [*map(tuple, views.views)] == [
        (False, 0, 0, 0), (True, 0, 0, 0), (True, 20, 32, 0), (False, 0, 0, 1), (True, 0, 0, -1),
    ]  # fmt: skip
    assert math.prod(views.shape) == 28 * 56
