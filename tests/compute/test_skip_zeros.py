"""When the first layer skips zeros, and what becomes of W then."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from helpers.drawn_trainer import trainer

from mlp_cli.compute.fast.kernels import FastKernels
from mlp_cli.compute.fast.tiling import LANES
from mlp_cli.compute.kernels import NumPyKernels

STROKES = {"rotation": 15, "thickness": 0.5}
BIG = {"epochs": 1, "batch_size": 250}  # more images than are distorted at once


@pytest.mark.parametrize(
    ("sections", "skips"),
    [
        ({"model": {"hidden": [32]}}, True),
        ({"model": {"hidden": [LANES - 1]}}, False),
        ({"model": {"hidden": [32]}, "training": {"epochs": 1, "batch_size": 4}}, False),
        ({"model": {"hidden": [32]}, "regularisation": {"input_noise": 0.1}}, False),
        ({"model": {"hidden": [32]}, "regularisation": {"input_dropout": 0.1}}, True),
        ({"model": {"hidden": [32]}, "distortion": {"rotation": 10}}, True),
    ],
    ids=["plain", "few neurons", "few examples", "noise", "input dropout", "distorted"],
)
def test_zeros_are_skipped_by_a_fixed_rule(sections: dict[str, object], skips: bool) -> None:
    kernels = FastKernels()
    trainer(kernels, **sections)
    assert kernels.skips_zeros == skips


def test_zeros_are_not_skipped_if_there_are_few() -> None:
    kernels = FastKernels()
    trainer(kernels, lit=True, model={"hidden": [32]})
    assert not kernels.skips_zeros


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"hidden": []}, "optimizer": {"name": "sgd", "learning_rate": 0.1}},
        {"model": {"hidden": []}, "optimizer": {"name": "adam", "learning_rate": 0.001}},
        {"model": {"hidden": [40]}, "regularisation": {"max_norm": 0.5}},
        {"model": {"hidden": [40]}, "optimizer": {"name": "sgd", "clip_norm": 0.1}},
        {"model": {"hidden": [40]}, "optimizer": {"name": "rmsprop", "weight_decay": 0.01}},
        {"model": {"hidden": [40]}, "training": BIG, "distortion": STROKES},
    ],
    ids=["W of all workers", "the same by Adam", "limited", "clipped", "decay", "distorted"],
)
def test_weights_that_are_updated_in_each_way_agree(
    sections: dict[str, object], threads: int
) -> None:
    found = []
    for kernels, team in ((NumPyKernels(), 1), (FastKernels(), threads)):
        training = trainer(kernels, team, classes=40, **sections)
        training.train_epoch(lambda loss: False)
        found.append(training.network.parameters)
    assert kernels.skips_zeros
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_all_workers_decide_alike(threads: int) -> None:
    found = []
    for kernels, team in ((NumPyKernels(), 1), (FastKernels(), threads)):
        training = trainer(kernels, team, model={"hidden": [2 * LANES - 1]})
        training.train_epoch(lambda loss: False)
        found.append(training.network.parameters)
    assert kernels.skips_zeros == (threads == 1)  # one of two workers has a neuron too few
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_noise_leaves_no_zeros_also_for_a_worker_without_images() -> None:
    found = []
    noise = {"input_noise": 0.1}
    small = {"epochs": 1, "batch_size": 9}  # 1,000 = 111 · 9 + 1: one image for three workers
    for kernels, team in ((NumPyKernels(), 1), (FastKernels(), 3)):
        training = trainer(
            kernels, team, model={"hidden": [96]}, training=small, regularisation=noise
        )
        training.train_epoch(lambda loss: False)
        found.append(training.network.parameters)
    assert not kernels.skips_zeros
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_ends_the_training_in_the_same_step(bad: float) -> None:
    losses = []
    for kernels in (NumPyKernels(), FastKernels()):
        training = trainer(kernels, model={"hidden": [32]})
        training.network.weights[0][3, 0] = bad  # a corner, which is black in every image
        batch = training.next_batch()
        with np.errstate(invalid="ignore"):
            losses.append(training.examine(batch).losses.copy())
    assert not np.isfinite(losses[0]).any() and not np.isfinite(losses[1]).any()
