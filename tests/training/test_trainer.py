"""The training loop: leaving and resuming an epoch, chunks, and the preview of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import timeless

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import load_dataset
from mlp_cli.training.build import build_trainer
from mlp_cli.training.steps import rows_of_chunk
from mlp_cli.training.trainer import Trainer


@pytest.fixture
def fresh(own_images: Callable[..., Path]) -> Callable[..., Trainer]:
    """Return a function that makes the same trainer, with chunks of 1,020 of its 2,950 rows.

    It takes the number of threads.
    """
    settings = {
        "data": {"path": str(own_images(train=3000)), "validation": 50},
        "model": {"hidden": [8], "batch_norm": True},
        "optimizer": {"momentum": 0.9},
        "schedule": {"name": "cosine"},
        "regularisation": {"dropout": 0.2, "average": 0.5},
        "distortion": {"rotation": 5, "elastic": [1, 2], "smoothness": [1, 2], "thickness": 0.5},
        "training": {"epochs": 2, "batch_size": 30},
    }
    config = from_dict(settings, "the test")
    dataset = load_dataset(config, Path())

    def make(threads: int = 1) -> Trainer:
        return build_trainer(config, dataset, Engine(ThreadTeam(threads), NumPyKernels()))

    return make


class Left(Exception):  # noqa: N818
    """Leaves an epoch; it is not an error."""


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_an_epoch_that_was_left_after_any_chunk_resumes_to_the_same_bits(
    chunks: int, fresh: Callable[[], Trainer]
) -> None:
    straight = fresh()
    expected = straight.train_epoch(lambda loss: False)
    seen = 0

    def leave(loss: float) -> bool:
        nonlocal seen
        seen += 1
        if seen == chunks:
            raise Left
        return False

    left, resumed = fresh(), fresh()
    with pytest.raises(Left):
        left.train_epoch(leave)
    for name, vector in left.vectors.items():
        resumed.vectors[name][...] = vector
    resumed.state = replace(left.state)
    metrics = resumed.train_epoch(lambda loss: False)
    assert expected is not None and metrics is not None
    assert timeless(asdict(metrics)) | {"samples_per_second": 0} == timeless(asdict(expected)) | {
        "samples_per_second": 0
    }
    for name, vector in straight.vectors.items():
        np.testing.assert_array_equal(resumed.vectors[name], vector)


def test_the_length_of_chunks_does_not_change_the_weights(fresh: Callable[[], Trainer]) -> None:
    whole, cut = fresh(), fresh()
    whole.train_epoch(lambda loss: False)
    while cut.train_epoch(lambda loss: True, 60) is None:
        assert cut.state.position % 60 == 0
    for name, vector in whole.vectors.items():
        if not name.startswith("average"):  # it is updated once a chunk
            np.testing.assert_allclose(cut.vectors[name], vector, rtol=1e-4, atol=1e-5)


def test_a_preview_of_an_image_equals_what_an_epoch_trains_on(
    fresh: Callable[[], Trainer],
) -> None:
    trainer = fresh()
    trained: dict[tuple[int, int], np.ndarray] = {}
    reader = trainer.steps.reader

    def note_chunk(loss: float) -> bool:
        n = (trainer.state.position - 1) % trainer.chunk + 1
        for row, image in zip(reader.rows[:n].tolist(), reader.x(n), strict=True):
            trained[trainer.state.epoch, row] = image.copy()
        return False

    while not trainer.finished:
        trainer.train_epoch(note_chunk)
    assert len(trained) == 2 * 2950
    for (epoch, row), image in list(trained.items())[::97]:
        np.testing.assert_allclose(trainer.seen(row, epoch), image, atol=1e-5)


def test_a_preview_does_not_depend_on_the_number_of_threads(
    fresh: Callable[..., Trainer],
) -> None:
    one, several = fresh(), fresh(threads=3)
    row = int(one.dataset.train.rows[0])
    np.testing.assert_array_equal(several.seen(row, 1), one.seen(row, 1))
    several.engine.threads.close()


@pytest.mark.parametrize(
    ("K", "millions", "rows"),
    [
        (1, 1, 1024), (10, 1, 1020), (60, 1, 1920), (128, 1, 4096), (256, 5, 4096),
        (3000, 1, 3000), (5000, 1, 5000), (128, 12, 2048), (128, 100, 1024), (1, 100, 1024),
    ],
)  # fmt: skip
def test_a_chunk_is_whole_minibatches_and_shorter_for_large_networks(
    K: int, millions: int, rows: int
) -> None:
    assert rows_of_chunk(K, millions * 10**6) == rows
