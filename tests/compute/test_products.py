"""Products in tiles, beside the plain loop, and first layers that skip zeros, beside theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from helpers.program_lines import SINGLE, multiply_in_tiles, run_line

from mlp_cli.compute.fast.image_opcodes import (
    FindColumns,
    FindLit,
    Fold,
    ForwardLit,
    GradientLit,
    LearnLit,
    Unfold,
)
from mlp_cli.compute.fast.opcodes import SGD
from mlp_cli.compute.fast.tiling import EXAMPLES, INPUTS, LANES, WORD, aligned_zeros, panels_of
from mlp_cli.nn.buffers import Array


def by_loop(left: Array, right: Array) -> Array:
    """Return left right: each number is one sum over k, in its order, in float64."""
    m, k = left.shape
    out = np.zeros((m, right.shape[1]))
    for i in range(m):
        for kk in range(k):
            out[i] += float(left[i, kk]) * right[kk].astype(np.float64)
    return out


@pytest.mark.parametrize("seed", range(40))
def test_tiles_agree_with_the_plain_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    m, n, k = (int(size) for size in draw.integers(1, 3 * LANES + 20, 3))
    k *= int(draw.choice([1, 30]))  # below and above what is summed at once
    left, right = (draw.normal(size=shape).astype(SINGLE) for shape in ((m, k), (k, n)))
    if draw.random() < 0.5:
        left = np.asfortranarray(left)
    if draw.random() < 0.5:
        right = np.asfortranarray(right)
    whole = draw.normal(size=(m, n + 5)).astype(SINGLE)
    before, out = whole.copy(), whole[:, 2 : n + 2]
    alpha, beta = (float(each) for each in draw.choice([0.5, 1, -0.25], 2))
    multiply_in_tiles(left, right, out, alpha, beta)
    expected = alpha * by_loop(left, right) + beta * before[:, 2 : n + 2].astype(np.float64)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=4e-6 * np.sqrt(k))
    np.testing.assert_array_equal(whole[:, :2], before[:, :2])
    np.testing.assert_array_equal(whole[:, n + 2 :], before[:, n + 2 :])


def test_what_is_replaced_may_be_anything() -> None:
    out = np.full((20, 70), np.nan, SINGLE)
    multiply_in_tiles(np.ones((20, 3), SINGLE), np.ones((3, 70), SINGLE), out)
    assert (out == 3).all()


def test_a_number_does_not_depend_on_how_rows_and_columns_are_shared_out() -> None:
    draw = np.random.default_rng(0)
    left, right = (draw.normal(size=s).astype(SINGLE) for s in ((45, 1500), (1500, 96)))
    whole = np.zeros((45, 96), SINGLE)
    multiply_in_tiles(left, right, whole)
    for rows in (slice(0, 1), slice(7, 23), slice(23, 45)):
        for columns in (slice(0, 96), slice(32, 96), slice(5, 60)):
            part = np.zeros((45, 96), SINGLE)[rows, columns]
            own = np.ascontiguousarray(right[:, columns])
            multiply_in_tiles(left[rows], own, part)
            assert part.tobytes() == whole[rows, columns].tobytes()


class FirstLayer:
    """Some images with black pixels, and a first layer of m neurons in one panel."""

    def __init__(self, K: int, n: int, m: int, black: float, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.K, self.n, self.m = K, n, m
        (_, _, self.width), *_ = panels_of(m)
        self.background = draw.normal(size=n).astype(SINGLE) * SINGLE(black)
        is_lit = draw.random((K, n)) < draw.random((1, n)) / 2
        self.x = np.where(is_lit, draw.normal(size=(K, n)).astype(SINGLE), self.background)
        self.W, self.delta = (draw.normal(size=s).astype(SINGLE) for s in ((m, n), (K, m)))
        self.lit = self.x if black == 0 else np.zeros_like(self.x)
        self.masks = np.zeros(K * -(-n // WORD), np.uint64)
        self.columns = np.zeros(-(-K // EXAMPLES) * n, np.uint32)
        self.room = aligned_zeros(1 + K + n + INPUTS, self.width)
        self.find()

    def find(self) -> None:
        """Find the lit pixels of x."""
        run_line(FindLit(self.x, self.background, self.lit, self.masks, self.K, self.n))
        run_line(FindColumns(self.lit, self.columns, self.K, self.n, 0, self.n))

    @property
    def panel(self) -> Array:
        """W as a panel (n, width)."""
        panel = aligned_zeros(self.n, self.width)
        run_line(Fold(self.W, self.n, self.m, self.width, panel))
        return panel

    def forward(self) -> Array:
        """Return z (K, m)."""
        z, panel = np.empty((self.m, self.K), SINGLE), self.panel
        sizes = self.K, self.n, panel, self.m, self.width
        run_line(ForwardLit(self.lit, self.masks, self.background, *sizes, z, self.K, self.room))
        return z.T

    def errors(self) -> Array:
        """δ as the network holds it: neuron by neuron."""
        return np.ascontiguousarray(self.delta.T)

    def gradient(self) -> Array:
        """Return ΔW (m, n)."""
        dW, delta = np.empty_like(self.W), self.errors()
        sizes = self.K, self.n, delta, self.m, self.width
        run_line(GradientLit(self.lit, self.columns, self.background, *sizes, dW, self.room))
        return dW

    def descend(self, rate: float, decay: float) -> Array:
        """Return W (m, n) after a step of plain SGD."""
        panel, delta, W = self.panel, self.errors(), np.empty_like(self.W)
        factors = np.array([rate, 0, 0])
        sizes = self.K, self.n, delta, self.m, self.width
        updated = SGD, panel, panel, panel, factors, self.room  # SGD has no slots
        run_line(LearnLit(self.lit, self.columns, self.background, *sizes, *updated), decay)
        run_line(Unfold(W, self.n, self.m, self.width, panel))
        return W


SHAPES = [(64, 784, 8 * LANES), (33, 100, 3), (70, 65, 4 * LANES), (128, 130, 5 * LANES)]


@pytest.mark.parametrize("black", [0.0, 1.0], ids=["black is 0", "black is another number"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_over_lit_pixels_agree_with_the_plain_loop(
    shape: tuple[int, int, int], black: float
) -> None:
    layer = FirstLayer(*shape, black)
    dW = by_loop(layer.delta.T, layer.x)
    np.testing.assert_allclose(layer.forward(), by_loop(layer.x, layer.W.T), atol=1e-4)
    np.testing.assert_allclose(layer.gradient(), dW, atol=1e-4)
    after = (1 - 0.1 * 0.01) * layer.W - 0.1 * dW
    np.testing.assert_allclose(layer.descend(0.1, 0.01), after, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_noticed_although_its_pixel_is_black(bad: float) -> None:
    layer = FirstLayer(64, 100, 20, 0.0)
    layer.x[:, 31] = 0
    layer.find()
    layer.W[7, 31] = bad
    z = layer.forward()
    assert np.isnan(z[:, 7]).all() and np.isfinite(np.delete(z, 7, axis=1)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_not_finite_reaches_the_weights_of_black_pixels(bad: float) -> None:
    layer = FirstLayer(64, 100, 20, 0.0)
    layer.x[5, ::2] = 0
    layer.find()
    layer.delta[5, 3] = bad
    dW = layer.gradient()
    assert not np.isfinite(dW[3]).any() and np.isfinite(np.delete(dW, 3, axis=0)).all()


PROCESSORS = {
    "with AVX2": ("x86-64-v3", "+avx,+avx2,+fma,+sse4.2,+popcnt,+bmi,+bmi2"),
    "without AVX2": ("x86-64", "+sse2"),
}


@pytest.mark.nightly
@pytest.mark.skipif(LANES < 8, reason="needs a processor with AVX2")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_kernels_fit_processors_with_narrower_registers(processor: str, tmp_path: Path) -> None:
    name, features = PROCESSORS[processor]
    limits = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not nightly",
            __file__,
            str(Path(__file__).with_name("test_skip_hidden.py")),
        ],
        env=os.environ | limits,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
