"""First weights that fade with the distance from a place in the image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlp_cli.config.load import from_dict
from mlp_cli.nn.windows import put_windows
from mlp_cli.training.build import build_network

SHAPE = 14, 21  # the middle is from (2, 3) to (12, 18)


def windows_of(deviation: float, m: int = 300, views: int = 1) -> np.ndarray:
    W = np.ones((m, views * math.prod(SHAPE)))
    put_windows(W, SHAPE, deviation, np.random.default_rng(0))
    return W


def test_each_weight_is_multiplied_by_its_window_pixel_by_pixel() -> None:
    down, across = np.random.default_rng(0).uniform(1 / 7, 6 / 7, (2, 5))
    for row, i, j in zip(windows_of(2.5, m=5), down * 14, across * 21, strict=True):
        expected = np.array(
            [
                math.exp(-((y + 0.5 - i) ** 2 + (x + 0.5 - j) ** 2) / (2 * 2.5**2))
                for y in range(14)
                for x in range(21)
            ]
        )
        scale = math.sqrt(sum(expected**2) / len(expected))
        np.testing.assert_allclose(row, expected / scale, rtol=1e-9)


@pytest.mark.parametrize("deviation", [0.5, 1])
def test_no_weight_is_a_subnormal_number(deviation: float) -> None:
    sizes = abs(windows_of(deviation).astype("float32"))
    assert np.count_nonzero(sizes == 0) > 0
    assert sizes[sizes > 0].min() > 1e6 * np.finfo("float32").tiny


@pytest.mark.parametrize("deviation", [0.5, 2, 1000])
def test_windows_keep_the_expected_norm(deviation: float) -> None:
    np.testing.assert_allclose(np.square(windows_of(deviation)).mean(axis=1), 1)


def test_windows_lie_in_the_middle_of_the_image_and_fill_it() -> None:
    weights = np.square(windows_of(1)).reshape(-1, *SHAPE)
    weights /= weights.sum(axis=(1, 2), keepdims=True)
    for axis, (low, high) in enumerate([(2, 12), (3, 18)]):
        places = np.arange(SHAPE[axis]) + 0.5
        centres = (weights.sum(axis=2 - axis) * places).sum(axis=1)
        assert low - 0.1 < centres.min() < low + 0.6
        assert high - 0.6 < centres.max() < high + 0.1


def test_all_views_of_an_image_get_the_same_windows() -> None:
    one, three = windows_of(2), windows_of(2, views=3)
    np.testing.assert_array_equal(three, np.tile(one, (1, 3)))


def first_weights(*hidden: int, window: float | None) -> list[np.ndarray]:
    model = {"hidden": [*hidden], "window": window}
    config = from_dict({"data": {"views": ["raw", "upright"]}, "model": model}, "the test")
    return build_network(config, SHAPE, 3, "float32").weights


def test_a_window_changes_the_weights_of_the_first_hidden_layer_alone() -> None:
    plain, local, wide = (first_weights(40, 30, window=window) for window in (None, 2, 1000))
    assert np.square(local[0]).sum() == pytest.approx(np.square(plain[0]).sum(), rel=0.2)
    drawn = local[0] / plain[0]
    assert drawn.min() < 1e-3 < 2 < drawn.max()
    np.testing.assert_allclose(wide[0], plain[0], rtol=1e-3)
    for layer in (1, 2):
        np.testing.assert_array_equal(local[layer], plain[layer])


def test_a_network_without_hidden_layers_has_no_window() -> None:
    np.testing.assert_array_equal(first_weights(window=2)[0], first_weights(window=None)[0])
