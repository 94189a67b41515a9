"""Batch normalisation that is evaluated with the statistics of images without noise."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import load_dataset
from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.moments import moments, statistics_of
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import EPSILON
from mlp_cli.training.build import build_trainer
from mlp_cli.training.statistics import IMAGES, PIECE
from mlp_cli.training.trainer import Trainer

Mlp = Callable[..., subprocess.CompletedProcess[str]]


def draw(activation: str) -> tuple[Network, np.ndarray, np.random.Generator]:
    generator = np.random.default_rng(3)
    network = Network([6, 5, 4, 3], activation, "cross_entropy", "float64", batch_norm=True)
    network.parameters[:] = generator.normal(size=network.parameters.shape)
    return network, generator.normal(size=(23, 6)), generator


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_they_are_the_moments_of_each_neuron_neuron_by_neuron(activation: str) -> None:
    network, x, _ = draw(activation)
    found = np.empty_like(network.statistics)
    statistics_of([moments(network, network.parameters, x)], len(x), found)
    means, variances = network.statistics_of(found)
    a, f = x, ACTIVATIONS[activation]
    for layer, (W, b, gamma) in enumerate(
        zip(network.weights[:2], network.biases[:2], network.gammas, strict=True)
    ):
        above = np.empty((len(x), len(W)))
        for i in range(len(W)):
            z = np.array([sum(W[i, j] * a[k, j] for j in range(len(a[0]))) for k in range(len(x))])
            mean, variance = sum(z) / len(z), sum((z - sum(z) / len(z)) ** 2) / len(z)
            assert means[layer][i] == pytest.approx(mean)
            assert variances[layer][i] == pytest.approx(variance)
            above[:, i] = gamma[i] * (z - mean) / np.sqrt(variance + EPSILON) + b[i]
        f.apply(above, np.empty_like(above) if f.keeps_derivative else above, above.copy())
        a = above


def test_moments_of_several_minibatches_are_added() -> None:
    network, x, generator = draw("identity")
    network = Network([6, 5, 3], "identity", "cross_entropy", "float64", batch_norm=True)
    network.parameters[:] = generator.normal(size=network.parameters.shape)
    found, whole = (np.empty_like(network.statistics) for _ in range(2))
    pieces = [moments(network, network.parameters, x[at]) for at in (slice(9), slice(9, None))]
    statistics_of(pieces, len(x), found)
    statistics_of([moments(network, network.parameters, x)], len(x), whole)
    np.testing.assert_allclose(found, whole)


def make_trainer(data: Path, threads: int = 1, **more: Any) -> Trainer:
    settings = {
        "data": {"path": str(data), "validation": 50, "views": ["raw", "upright"]},
        "model": {"hidden": [9, 8], "batch_norm": True, "clean_statistics": True},
        "regularisation": {"input_noise": 0.5, "noise": 0.5, "dropout": 0.2},
        "distortion": {"rotation": 20},
        "training": {"epochs": 2, "batch_size": 60},
        **more,
    }
    config = from_dict(settings, "the test")
    engine = Engine(ThreadTeam(threads), NumPyKernels())
    return build_trainer(config, load_dataset(config, Path()), engine)


def test_the_images_have_their_views_and_no_noise_dropout_or_distortion(
    own_images: Callable[..., Path],
) -> None:
    data = own_images(train=PIECE + 50)
    trainer, plain = make_trainer(data), make_trainer(data, distortion={})
    trainer.train_epoch(lambda loss: False)
    parameters, statistics = trainer.evaluated
    x = np.array([plain.seen(row, 0) for row in trainer.dataset.train.rows])
    assert len(x) == PIECE and x.shape[1] == trainer.network.sizes[0]
    expected = np.empty_like(statistics)
    statistics_of([moments(trainer.network, parameters, x)], PIECE, expected)
    np.testing.assert_allclose(statistics, expected, rtol=1e-5)
    assert not np.allclose(statistics, trainer.network.statistics, rtol=0.05)


def test_the_number_of_threads_changes_no_bit(own_images: Callable[..., Path]) -> None:
    data, found = own_images(train=4 * PIECE + 150), []
    trainer = make_trainer(data)
    for threads in (1, 2, 3):
        other = make_trainer(data, threads)
        other.network.parameters[:] = trainer.network.parameters
        _parameters, statistics = other.evaluated
        found.append(statistics.tobytes())
    assert len({*found}) == 1


def test_no_more_images_are_read_than_the_page_says(own_images: Callable[..., Path]) -> None:
    trainer = make_trainer(own_images(train=300))
    assert trainer._statistics is not None
    assert sum(map(len, trainer._statistics._pieces)) == 250 < IMAGES == 10_000


def test_no_piece_is_much_smaller_than_another(own_images: Callable[..., Path]) -> None:
    trainer = make_trainer(own_images(train=PIECE + 51))
    assert trainer._statistics is not None
    assert sorted(map(len, trainer._statistics._pieces)) == [PIECE // 2, PIECE // 2 + 1]


def test_a_resumed_run_ends_with_the_same_best_and_scores_what_eval_scores(
    mlp: Mlp, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(
        "data: {dataset: synthetic}\n"
        "model: {hidden: [20, 10], batch_norm: true, clean_statistics: true}\n"
        "regularisation: {noise: 0.5, average: 1}\n"
    )
    for validation in ("500", "0"):
        given = "c.yaml", "--set", f"data.validation={validation}", "--quiet"
        straight, stopped = f"straight-{validation}", f"stopped-{validation}"
        for epochs, out, more in ((2, straight, ()), (1, stopped, ()), (2, stopped, ("--resume",))):
            args = *given, "--set", f"training.epochs={epochs}", "--out", out, *more
            done = mlp("train", *args, MLP_KERNELS="numpy")
            assert done.returncode == 0, done.stderr
        with (
            np.load(tmp_path / straight / "best.npz") as a,
            np.load(tmp_path / stopped / "best.npz") as b,
        ):
            for name in a.files:
                if name not in ("header", "digest"):
                    np.testing.assert_array_equal(a[name], b[name])
    metrics = (tmp_path / "straight-500" / "metrics.jsonl").read_text().splitlines()
    scored = json.loads(mlp("eval", "straight-500", "--split", "validation", "--json").stdout)
    assert scored["accuracy"] == max(json.loads(line)["val_accuracy"] for line in metrics)
    plain = "c.yaml", "--set", "model.batch_norm=false", "--out", "c"
    assert "has no effect" in mlp("train", *plain, MLP_KERNELS="numpy").stderr
