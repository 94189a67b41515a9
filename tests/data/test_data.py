"""Data sets: held-out images, what the network sees, and files that do not fit together."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.stand_ins import idx

from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config
from mlp_cli.data.batches import BatchReader, InputScaling, standard_scaling
from mlp_cli.data.dataset import load_dataset, whole
from mlp_cli.errors import ConfigError, DataError
from mlp_cli.nn.rng import generator


def own_data(folder: Path, seed: int = 0, **data: object) -> Config:
    return from_dict({"seed": seed, "data": {"path": str(folder), "validation": 100, **data}}, "")


def test_the_seed_alone_decides_which_images_are_held_out(own_images: Callable[..., Path]) -> None:
    folder = own_images()
    one, same, other = (load_dataset(own_data(folder, seed), folder) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.validation.rows, same.validation.rows)
    assert set(one.validation.rows) != set(other.validation.rows)
    assert (len(one.train), len(one.validation)) == (500, 100)
    assert sorted([*one.train.rows, *one.validation.rows]) == list(range(600))


def test_gzipped_files_give_the_same_data(own_images: Callable[..., Path]) -> None:
    folder = own_images()
    raw = load_dataset(own_data(folder), folder)
    for path in list(folder.iterdir()):
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = load_dataset(own_data(folder), folder)
    np.testing.assert_array_equal(raw.train.images, packed.train.images)
    assert raw.test is not None
    assert packed.test is not None
    np.testing.assert_array_equal(raw.test.labels, packed.test.labels)


def test_the_network_sees_scaled_pixels_and_one_hot_targets() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (9, 3, 2)).astype(np.uint8)
    labels = (np.arange(9) % 4).astype(np.uint8)
    split = whole(images, labels)
    scaling = standard_scaling(split)
    mean, std, _ = scaling
    scaled = images.reshape(9, 6) / 255
    assert mean == pytest.approx(scaled.mean())
    assert std == pytest.approx(scaled.std())

    rows = np.array([5, 0, 7])
    for dtype in ("float32", "float64"):
        reader = BatchReader(split, 4, scaling, 5, np.dtype(dtype), at_once=3)
        reader.rows[:3] = rows
        x, y, found = reader.read(0, 3), reader.y[:3], reader.labels[:3]
        np.testing.assert_allclose(x, (scaled[rows] - mean) / std, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(y, np.eye(4)[labels[rows]])
        np.testing.assert_array_equal(found, labels[rows])
        assert x.dtype == y.dtype == dtype
        assert np.shares_memory(x, reader.read(1, 3))
        np.testing.assert_allclose(x[:2], (scaled[rows[1:]] - mean) / std, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thread_that_is_a_step_behind_keeps_its_inputs(workers: int) -> None:
    split = whole(np.zeros((5, 2, 3), np.uint8), np.zeros(5, np.uint8))
    reader = BatchReader(
        split, 1, InputScaling(), 5, np.dtype("float32"), at_once=3, workers=workers
    )
    x = reader.read(0, 3)
    assert np.shares_memory(x, reader.read(3, 5)) == (workers == 1)


def test_statistics_of_blank_images_do_not_divide_by_zero() -> None:
    blank = whole(np.zeros((4, 5), np.uint8), np.zeros(4, np.uint8))
    assert standard_scaling(blank) == InputScaling(0.0, 1.0)


def test_generators_depend_on_their_arguments_alone() -> None:
    first = generator(0, "order", 3).random(4)
    np.testing.assert_array_equal(first, generator(0, "order", 3).random(4))
    for other in (
        generator(1, "order", 3),
        generator(0, "order", 4),
        generator(0, "initialise", 3),
    ):
        assert not np.array_equal(first, other.random(4))


def damage(folder: Path, name: str, array: np.ndarray) -> None:
    (folder / name).write_bytes(idx(array.astype(np.uint8)))


def test_a_different_number_of_labels_and_images_is_refused(
    own_images: Callable[..., Path],
) -> None:
    folder = own_images()
    damage(folder, "train-labels-idx1-ubyte", np.zeros(599))
    with pytest.raises(DataError, match=r"holds 599 labels, but .* holds 600 images"):
        load_dataset(own_data(folder), folder)


def test_test_images_of_another_size_are_refused(own_images: Callable[..., Path]) -> None:
    folder = own_images()
    damage(folder, "t10k-images-idx3-ubyte", np.zeros((150, 8, 9)))
    with pytest.raises(DataError, match=r"have 8×9 pixels, but the training images have 8×8"):
        load_dataset(own_data(folder), folder)


def test_a_test_label_above_the_training_labels_is_refused(own_images: Callable[..., Path]) -> None:
    folder = own_images()
    damage(folder, "t10k-labels-idx1-ubyte", np.full(150, 10))
    with pytest.raises(DataError, match=r"has label 10, but the training labels are 0 to 9"):
        load_dataset(own_data(folder), folder)
    assert load_dataset(own_data(folder, test=False), folder).test is None


def test_at_least_one_image_must_be_left_to_train_on(own_images: Callable[..., Path]) -> None:
    folder = own_images()
    assert len(load_dataset(own_data(folder, validation=599), folder).train) == 1
    with pytest.raises(ConfigError, match="cannot hold out 600 images"):
        load_dataset(own_data(folder, validation=600), folder)


def test_a_single_image_is_a_data_set(tmp_path: Path) -> None:
    damage(tmp_path, "train-images-idx3-ubyte", np.ones((1, 1, 1)))
    damage(tmp_path, "train-labels-idx1-ubyte", np.array([255]))
    found = load_dataset(own_data(tmp_path, validation=0, test=False), tmp_path)
    assert (len(found.train), len(found.validation), found.classes) == (1, 0, 256)


def test_a_data_set_without_images_is_refused(tmp_path: Path) -> None:
    damage(tmp_path, "train-images-idx3-ubyte", np.ones((0, 1, 1)))
    damage(tmp_path, "train-labels-idx1-ubyte", np.ones(0))
    with pytest.raises(DataError, match="so it is empty"):
        load_dataset(own_data(tmp_path, validation=0, test=False), tmp_path)


def test_the_message_for_missing_files_says_what_to_do(
    own_images: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="mlp download-data"):
        load_dataset(Config(), tmp_path)
    folder = own_images()
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"data\.test=false"):
        load_dataset(own_data(folder), folder)
