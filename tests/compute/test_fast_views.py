"""Views by compiled code against those of NumPy: alone, and in whole trainings."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.fast.kernels import FastKernels
from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.data_section import DataConfig
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import Source, load_source
from mlp_cli.data.views import build_views
from mlp_cli.nn.views import ViewBuffer
from mlp_cli.training.build import build_trainer
from mlp_cli.training.trainer import Trainer

NAMES = ("upright", "raw", "width-8", "width-28", "rising", "upright-falling")
EVERYTHING = {
    "distortion": {"rotation": 15, "shear": 0.3, "elastic": [3, 9], "thickness": 0.5},
    "regularisation": {"input_dropout": 0.1, "input_noise": 0.1, "dropout": 0.1},
}
GENTLE = {"name": "sgd", "learning_rate": 0.001}  # rounding must not grow


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-4), ("float64", 1e-11)])
@pytest.mark.parametrize("shape", [(28, 28), (9, 14), (1, 5), (5, 1), (1, 1)])
def test_compiled_views_agree(shape: tuple[int, int], dtype: str, tolerance: float) -> None:
    generator = np.random.default_rng(0)
    k, n = 12, shape[0] * shape[1]
    images = generator.integers(0, 256, (k, n)) * (generator.random((k, n)) < 0.3)
    images[0] = images[1] = images[2] = 0  # black, a dot and a line
    images[1, n // 2] = images[2, : shape[1]] = 255
    pixels = images.astype(np.uint8)
    views = build_views(NAMES, shape)
    assert views is not None
    inputs = len(NAMES) * n
    scale = generator.uniform(0.5, 1.5, inputs).astype(dtype) / 255
    shift = generator.uniform(-1, 1, inputs).astype(dtype)
    source, found = images.astype(dtype), []
    for kernels in (NumPyKernels(), FastKernels()):
        x = np.full((k, inputs), np.nan, dtype)
        buffer = ViewBuffer.of(k, shape, np.dtype(dtype))
        operands = views.views, pixels, source, x, scale, shift, buffer
        run = kernels.prepare(
            lambda ops, worker, operands=operands: ops.make_views(*operands),
            ThreadTeam(1),
            np.dtype(dtype),
        )
        run()
        found.append(x)
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=tolerance)


@cache
def drawn_digits() -> Source:
    return load_source(DataConfig(dataset="synthetic"), Path())


def trainer(
    kernels: NumPyKernels | FastKernels,
    threads: int,
    views: list[str],
    dtype: str = "float64",
    batch_size: int = 40,
    **sections: object,
) -> Trainer:
    """Build a trainer on 302 drawn digits."""
    data = {"dataset": "synthetic", "validation": 100, "scaling": "standard", "views": views}
    settings = {
        "data": data,
        "model": {"hidden": [32]},
        "training": {"epochs": 1, "batch_size": batch_size, "dtype": dtype},
        **sections,
    }
    config = from_dict(settings, "the test")
    dataset = drawn_digits().split(config)
    train = replace(dataset.train, rows=dataset.train.rows[:302])
    return build_trainer(
        config, replace(dataset, train=train), Engine(ThreadTeam(threads), kernels)
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("sections", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_training_with_views_agrees_within_rounding(
    sections: dict[str, object], threads: int
) -> None:
    found = []
    for kernels in (NumPyKernels(), FastKernels()):
        views = ["raw", "upright", "width-16", "falling", "upright-rising"]
        training = trainer(kernels, threads, views, **sections)
        metrics = training.train_epoch(lambda loss: False)
        assert metrics is not None and metrics.val_loss is not None
        found.append([*training.network.parameters, metrics.train_loss, metrics.val_loss])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("distortion", [{}, {"rotation": 15}], ids=["plain", "distorted"])
def test_the_zeros_of_views_are_skipped(distortion: dict[str, float], threads: int) -> None:
    found = []
    for kernels in (NumPyKernels(), FastKernels()):
        # The last minibatch has two images, and one of three workers has none.
        training = trainer(
            kernels, threads, ["raw", "upright", "rising"], "float32", 20,
            distortion=distortion, model={"hidden": [96]}, optimizer=GENTLE,
        )  # fmt: skip
        training.train_epoch(lambda loss: False)
        found.append(training.network.parameters)
    assert kernels.skips_zeros
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("views", [["raw"], ["raw", "upright"]])
@pytest.mark.parametrize("distortion", [{}, {"elastic": [3, 9]}], ids=["plain", "distorted"])
def test_a_step_with_fewer_images_than_workers_has_all_lit_pixels(
    distortion: dict[str, float], views: list[str]
) -> None:
    losses = []
    for kernels in (NumPyKernels(), FastKernels()):
        training = trainer(
            kernels, 3, views, "float32", 20,
            distortion=distortion, model={"hidden": [96]}, optimizer=GENTLE,
        )  # fmt: skip
        training.state.position = 300  # two images are left
        examined = training.examine(training.next_batch())
        assert len(examined.losses) == 2
        losses.append([*examined.losses, *examined.passes.weight_gradients[0].ravel()])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("views", [["raw"], ["raw", "upright"]])
def test_a_last_minibatch_of_one_image_learns_from_the_newest_weights(views: list[str]) -> None:
    found = []
    for kernels in (NumPyKernels(), FastKernels()):
        training = trainer(kernels, 1, views, "float32", 43, optimizer=GENTLE)
        assert len(training.dataset.train) % 43 == 1
        training.train_epoch(lambda loss: False)
        found.append(training.network.parameters)
    assert kernels.skips_zeros
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kernels", [NumPyKernels, FastKernels])
@pytest.mark.parametrize("distortion", [{}, {"rotation": 15}], ids=["plain", "distorted"])
def test_the_raw_view_has_the_bits_of_the_image(
    distortion: dict[str, float], kernels: type[NumPyKernels | FastKernels]
) -> None:
    found = []
    for views in (["raw"], ["raw", "upright"]):
        training = trainer(kernels(), 1, views, "float32", distortion=distortion)
        x = training.examine(training.next_batch()).x
        found.append(x[:, :784].copy())
    assert found[0].tobytes() == found[1].tobytes()
