"""Products of bfloat16 beyond what `test_products` tests of both types, and trainings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from helpers.program_lines import SINGLE, multiply_in_tiles, rounded

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.fast import MULTIPLIES_PAIRS, FastKernels
from mlp_cli.compute.fast.tiling import DEPTH, suits
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


@needs_pairs
@pytest.mark.parametrize("k", [2 * DEPTH - 1, 2 * DEPTH, 2 * DEPTH + 1, 5 * DEPTH + 37])
@pytest.mark.parametrize("turned", ["neither", "left", "right"])
def test_long_sums_are_cut_into_blocks(k: int, turned: str) -> None:
    draw = np.random.default_rng(k)
    left, right = (draw.normal(size=shape).astype(SINGLE) for shape in ((20, k), (k, 40)))
    left = np.asfortranarray(left) if turned == "left" else left
    right = np.asfortranarray(right) if turned == "right" else right
    out = np.empty((20, 40), SINGLE)
    multiply_in_tiles(left, right, out, dtype="bfloat16")
    expected = rounded(left).astype(float) @ rounded(right)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=4e-6 * np.sqrt(k))


@needs_pairs
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.4e38])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_number_that_is_not_finite_or_becomes_so_reaches_every_sum(bad: float, side: str) -> None:
    left, right = np.ones((20, 33), SINGLE), np.ones((33, 40), SINGLE)
    (left if side == "left" else right)[5, 32 if side == "left" else 7] = bad
    out = np.empty((20, 40), SINGLE)
    multiply_in_tiles(left, right, out, dtype="bfloat16")
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
            left, right = map(rounded, (left, right))
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
        )()
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
