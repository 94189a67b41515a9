"""A training with a decoder gives the same weights on any number of threads, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.networks import KERNELS

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import Dataset, Split, whole
from mlp_cli.training.build import build_trainer


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Return images large enough for workers to be seen in each other's way."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (600, 784)).astype(np.uint8)
    split = whole(images, generator.integers(10, size=600).astype(np.uint8))
    none = Split(split.images, split.labels, split.rows[:0])
    return Dataset("drawn", (28, 28), 10, split, none, None)


def trained(kernels: Kernels, dataset: Dataset, hidden: list[int], threads: int) -> np.ndarray:
    """Return the parameters after an epoch."""
    config = {
        "model": {"hidden": hidden, "decoder": 10 if hidden else 300},
        "training": {"batch_size": 10, "dtype": "float64"},
        "regularisation": {"input_dropout": 0.2},
        "optimizer": {"learning_rate": 0.005 if hidden else 0.02, "momentum": 0.9},
    }
    team = ThreadTeam(threads)
    try:
        trainer = build_trainer(from_dict(config, "a test"), dataset, Engine(team, kernels))
        trainer.train_epoch(lambda loss: False)
        return trainer.network.parameters.copy()
    finally:
        team.close()


@pytest.mark.parametrize("hidden", [[], [1], [7, 5]])
@pytest.mark.parametrize("kernels", KERNELS)
def test_threads_agree(kernels: type[Kernels], dataset: Dataset, hidden: list[int]) -> None:
    one = trained(kernels(), dataset, hidden, 1)
    for threads in (2, 3, 2, 3):
        many = trained(kernels(), dataset, hidden, threads)
        np.testing.assert_allclose(many, one, rtol=0, atol=1e-7)
