"""Products of bfloat16, beside the plain loop, and trainings with them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.fast import MULTIPLIES_PAIRS, FastKernels
from mlp_cli.compute.fast.image_opcodes import with_addresses
from mlp_cli.compute.fast.kernels import kernel_cache
from mlp_cli.compute.fast.opcodes import CONSTANTS, OPERANDS, OPERATIONS, Descend, Product
from mlp_cli.compute.fast.tiling import DEPTH, LANES, aligned_zeros, room_for_pairs, suits
from mlp_cli.compute.kernels import say_nothing
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import load_dataset
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.buffers import Array, columns_first
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import Ops
from mlp_cli.training.build import build_trainer
from mlp_cli.training.trainer import Trainer

needs_pairs = pytest.mark.skipif(not MULTIPLIES_PAIRS, reason="needs a processor with AVX-512 BF16")
SINGLE = np.float32


def run(operation: Any, *constants: float) -> None:
    """Run one line of a program, in the code that trainings run."""
    like = np.empty(1, SINGLE)
    line, numbers = np.zeros((1, OPERANDS), np.int64), np.zeros((1, CONSTANTS))
    line[0, 0] = OPERATIONS.index(type(operation))
    line[0, 1 : 1 + len(operation)] = with_addresses(operation)
    numbers[0, : len(constants)] = constants
    execute = kernel_cache("bfloat16").load(say_nothing, say_nothing)
    execute(line.ctypes.data, 1, numbers.ctypes.data, like.ctypes.data)


def multiplied(left: Array, right: Array, out: Array, alpha: float = 1, beta: float = 0) -> None:
    """Write out ← β out + α left right; transposed factors are seen by their strides."""
    (m, k), n = left.shape, right.shape[1]
    turned = [factor.strides[1] != factor.itemsize for factor in (left, right)]
    leading = [max(factor.strides) // factor.itemsize for factor in (left, right)]
    room, out_leading = aligned_zeros(room_for_pairs(n, k) + 1), out.strides[0] // out.itemsize
    room[-1] = 7
    operands = *turned, m, n, k, left, leading[0], right, leading[1], out, out_leading, room
    if (alpha, beta) == (1, 0):
        run(Product(*operands))
    else:  # plain SGD: out ← (1 − η λ) out − η left right
        run(Descend(*operands, np.array([-alpha])), (1 - beta) / -alpha)
    assert room[-1] == 7


def rounded(numbers: Array) -> Array:
    """Return the nearest numbers of bfloat16, of two equally near the one whose last bit is 0."""
    bits = numbers.astype(SINGLE).view(np.uint32).astype(np.uint64)
    bits = bits + 0x7FFF + (bits >> 16 & 1) >> 16 << 16
    return bits.astype(np.uint32).view(SINGLE)


def by_loop(left: Array, right: Array) -> Array:
    """Return left right: each number is one sum over k of products of rounded factors."""
    out = np.zeros((len(left), right.shape[1]))
    for k in range(len(right)):
        for i in range(len(left)):
            out[i] += float(rounded(left)[i, k]) * rounded(right)[k].astype(np.float64)
    return out


@needs_pairs
@pytest.mark.parametrize("seed", range(40))
def test_products_agree_with_the_plain_loop_over_rounded_factors(seed: int) -> None:
    draw = np.random.default_rng(seed)
    m, n, k = (int(size) for size in draw.integers(1, 3 * LANES + 20, 3))
    left, right = (draw.normal(size=shape).astype(SINGLE) for shape in ((m, k), (k, n)))
    # Where factors end, there is no memory of theirs, and what is beside them counts as 0.
    if draw.random() < 0.5:
        left = np.asfortranarray(left)
    if draw.random() < 0.5:
        right = np.asfortranarray(right)
    whole = draw.normal(size=(m, n + 5)).astype(SINGLE)
    before, out = whole.copy(), whole[:, 2 : n + 2]
    alpha, beta = (float(each) for each in draw.choice([0.5, 1, -0.25], 2))
    multiplied(left, right, out, alpha, beta)
    expected = alpha * by_loop(left, right) + beta * before[:, 2 : n + 2].astype(np.float64)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=4e-6 * np.sqrt(k))
    np.testing.assert_array_equal(whole[:, :2], before[:, :2])
    np.testing.assert_array_equal(whole[:, n + 2 :], before[:, n + 2 :])


@needs_pairs
@pytest.mark.parametrize("k", [2 * DEPTH - 1, 2 * DEPTH, 2 * DEPTH + 1, 5 * DEPTH + 37])
@pytest.mark.parametrize("turned", ["neither", "left", "right"])
def test_long_sums_are_cut_into_blocks(k: int, turned: str) -> None:
    draw = np.random.default_rng(k)
    left, right = (draw.normal(size=shape).astype(SINGLE) for shape in ((20, k), (k, 40)))
    left = np.asfortranarray(left) if turned == "left" else left
    right = np.asfortranarray(right) if turned == "right" else right
    out = np.empty((20, 40), SINGLE)
    multiplied(left, right, out)
    expected = rounded(np.ascontiguousarray(left)).astype(float) @ rounded(
        np.ascontiguousarray(right)
    )
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=4e-6 * np.sqrt(k))


@needs_pairs
def test_a_number_does_not_depend_on_how_rows_and_columns_are_shared_out() -> None:
    draw = np.random.default_rng(0)
    left, right = (draw.normal(size=s).astype(SINGLE) for s in ((45, 1500), (1500, 96)))
    whole = np.zeros((45, 96), SINGLE)
    multiplied(left, right, whole)
    for rows in (slice(0, 1), slice(7, 23), slice(23, 45)):
        for columns in (slice(0, 96), slice(32, 96), slice(5, 60)):
            part = np.zeros((45, 96), SINGLE)[rows, columns]
            multiplied(left[rows], np.ascontiguousarray(right[:, columns]), part)
            assert part.tobytes() == whole[rows, columns].tobytes()


@needs_pairs
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.4e38])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_number_that_is_not_finite_or_becomes_so_reaches_every_sum(bad: float, side: str) -> None:
    left, right = np.ones((20, 33), SINGLE), np.ones((33, 40), SINGLE)
    (left if side == "left" else right)[5, 32 if side == "left" else 7] = bad
    out = np.empty((20, 40), SINGLE)
    multiplied(left, right, out)
    reached = out[5] if side == "left" else out[:, 7]
    assert not np.isfinite(reached).any() and np.isfinite(out).sum() == out.size - reached.size


def make_trainer(threads: int, dtype: str, **sections: object) -> Trainer:
    settings = {
        "data": {"dataset": "synthetic", "validation": 200, "scaling": "standard"},
        "model": {"hidden": [133, 50]},
        "training": {"epochs": 1, "batch_size": 64, "dtype": dtype},
        **sections,
    }
    config = from_dict(settings, "the test")
    dataset = load_dataset(config, None)  # type: ignore[arg-type]
    few = replace(dataset.train, rows=dataset.train.rows[:2000])
    engine = Engine(ThreadTeam(threads), FastKernels(rounds=dtype == "bfloat16"))
    return build_trainer(config, replace(dataset, train=few), engine)


RULES: list[dict[str, object]] = [
    {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.001},
    {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    {"name": "adam", "learning_rate": 0.001},
]


class RoundingOps(Ops):
    """NumPy's operations, with the factors rounded of each product that is computed in tiles."""

    def product(self, left: Array, right: Array, out: Array) -> None:
        """Multiply."""
        if out.ndim == 2 and out.strides[1] != out.itemsize:
            left, right, out = right.T, left.T, out.T  # the recorder writes by rows
        if out.ndim == 2 and suits(out.shape[1], left.shape[1]):
            left, right = (rounded(np.ascontiguousarray(factor)) for factor in (left, right))
        np.matmul(left, right, out=out)


@needs_pairs
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("K", [32, 75])
def test_a_gradient_is_that_of_numpy_with_rounded_factors(K: int, batch_norm: bool) -> None:
    draw = np.random.default_rng(K)
    network = Network([60, 133, 50, 10], "tanh", "cross_entropy", batch_norm=batch_norm)
    network.initialise("lecun_normal", draw)
    x, y = draw.normal(size=(K, 60)).astype(SINGLE), np.eye(10, dtype=SINGLE)[np.arange(K) % 10]
    passes, z = Backpropagation(network, K), columns_first(K, 10, network.dtype)
    found = []
    for rounds in (False, True):
        FastKernels(rounds).prepare(
            lambda ops, worker: passes(x, y, z, worker, ops), ThreadTeam(1), network.dtype
        )(0)
        found.append(passes.gradient.copy())
    passes(x, y, z, 0, RoundingOps())
    exact, near = found
    norm = np.linalg.norm(exact)
    assert np.linalg.norm(near - passes.gradient) < 3e-4 * norm  # a sum may round to the other side
    assert 1e-3 * norm < np.linalg.norm(near - exact) < 0.05 * norm


@needs_pairs
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_repeated_training_has_the_same_bits_and_learns(
    threads: int, rule: dict[str, object]
) -> None:
    found, losses = [], []
    for dtype in ("float32", "bfloat16", "bfloat16"):
        training = make_trainer(threads, dtype, optimizer=rule)
        metrics = training.train_epoch(lambda loss: False)
        assert metrics is not None and training.network.parameters.dtype == SINGLE
        found.append(training.network.parameters.tobytes())
        losses.append(metrics.train_loss)
    assert found[1] == found[2] != found[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


Mlp = Callable[..., subprocess.CompletedProcess[str]]
BFLOAT16 = ("--set", "training.dtype=bfloat16", "--set", "training.epochs=1")


@needs_pairs
def test_a_run_keeps_its_parameters_and_its_scores_in_float32(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    done = mlp("train", config, *BFLOAT16, "--out", "a", MLP_KERNELS="")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "a" / "best.npz") as arrays:
        assert arrays["layers.0.weight"].dtype == SINGLE
    scored = mlp("eval", "a", "--split", "validation", "--json")
    assert scored.returncode == 0, scored.stderr
    last = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[-1])
    assert json.loads(scored.stdout)["accuracy"] == last["val_accuracy"]
    assert json.loads((tmp_path / "a" / "env.json").read_text())["kernels"].endswith(" bfloat16")
    resumed = mlp("train", config, *BFLOAT16, "--out", "a", "--resume", MLP_KERNELS="numpy")
    assert resumed.returncode == 0, resumed.stderr  # it is finished


def test_the_message_says_what_bfloat16_needs(mlp: Mlp, config: Path) -> None:
    done = mlp("train", config, *BFLOAT16, "--out", "a", MLP_KERNELS="numpy")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: training.dtype: bfloat16 needs the compiled kernels.")
    features = "-avx512bf16"
    done = mlp("train", config, *BFLOAT16, "--out", "b", NUMBA_CPU_FEATURES=features)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: training.dtype: bfloat16 needs a processor with AVX-512")
    assert "Give float32." in done.stderr
