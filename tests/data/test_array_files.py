"""NumPy's files: images and labels are found by the names of their arrays."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.data.formats.arrays import read_npy, read_npy_folder, read_npz
from mlp_cli.data.formats.collection import Answers, Collection
from mlp_cli.errors import ConfigError, DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 3, 3)).astype(np.uint8)
IMAGES[0, 0, 0] = 255
LABELS = np.array([3, 1, 1, 2, 3, 2])
TEST = IMAGES[:2], LABELS[:2]


def saved(
    path: Path, arrays: dict[str, Any], save: Callable[..., None] = np.savez, **answers: Any
) -> Collection:
    save(path / "f.npz", **arrays)
    return read_npz(path / "f.npz", Answers(**answers))


def check(found: Collection, test: bool = True) -> None:
    assert list(found.parts) == ["train", "test"][: 1 + test]
    assert found.names == ("1", "2", "3")
    for part in found.parts.values():
        np.testing.assert_array_equal(part.images, IMAGES[: len(part.images)])
        np.testing.assert_array_equal(part.labels, LABELS[: len(part.images)] - 1)
        assert part.images.dtype == part.labels.dtype == np.uint8
        assert part.images.flags.c_contiguous


NAMES = {
    "Keras": ("x_train", "y_train", "x_test", "y_test"),
    "MedMNIST": ("train_images", "train_labels", "test_images", "test_labels"),
    "capitals": ("X_train", "Y_train", "X_test", "Y_test"),
    "other words": ("training.data", "training.target", "t10k-image", "t10k-label"),
}
SINGLE = {
    "images and labels": ("images", "labels"),
    "scikit-learn": ("data", "target"),
    "X and y": ("X", "y"),
    "training alone": ("x_train", "y_train"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
@pytest.mark.parametrize("kind", NAMES)
def test_the_names_of_the_arrays_say_what_they_hold(kind: str, save: Any, tmp_path: Path) -> None:
    check(saved(tmp_path, dict(zip(NAMES[kind], (IMAGES, LABELS, *TEST), strict=True)), save))


@pytest.mark.parametrize("kind", SINGLE)
def test_a_single_set_is_for_training(kind: str, tmp_path: Path) -> None:
    arrays = dict(zip(SINGLE[kind], (IMAGES, LABELS), strict=True))
    check(saved(tmp_path, arrays), test=False)


SHAPES = {
    "bytes": IMAGES,
    "a channel last": IMAGES[..., None],
    "a channel first": IMAGES[:, None],
    "rows of pixels": IMAGES.reshape(6, 9),
    "columns first in memory": np.asfortranarray(IMAGES),
    "decimals up to 1, columns first in memory": np.asfortranarray(IMAGES / 255),
    "most significant byte first": IMAGES.astype(">i2"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_shape_and_type_are_read(shape: str, tmp_path: Path) -> None:
    check(saved(tmp_path, {"x_train": SHAPES[shape], "y_train": LABELS}), test=False)
    np.save(tmp_path / "x_train.npy", SHAPES[shape])
    np.save(tmp_path / "y_train.npy", np.eye(4, dtype=np.float32)[LABELS])
    (tmp_path / "f.npz").unlink()
    check(read_npy_folder(tmp_path, Answers()), test=False)


def test_a_folder_of_files_with_one_array_each_is_read(tmp_path: Path) -> None:
    for part, (images, labels) in {"train": (IMAGES, LABELS), "test": TEST}.items():
        np.savez_compressed(tmp_path / f"kmnist-{part}-imgs.npz", images)
        np.savez_compressed(tmp_path / f"kmnist-{part}-labels.npz", labels)
    check(read_npy_folder(tmp_path, Answers()))


def test_a_folder_of_one_npz_file_is_read_as_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=IMAGES, y_train=LABELS)
    check(read_npy_folder(tmp_path, Answers()), test=False)


def test_a_single_npy_file_has_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "some.npy", IMAGES)
    found = read_npy(tmp_path / "some.npy", Answers())
    np.testing.assert_array_equal(found.parts["train"].images, IMAGES)
    assert (found.parts["train"].labels, found.names) == (None, ())
    np.save(tmp_path / "test_images.npy", IMAGES)
    assert list(read_npy(tmp_path / "test_images.npy", Answers()).parts) == ["test"]


def test_arrays_without_a_role_are_left_out_and_named(tmp_path: Path) -> None:
    arrays = {"x_train": IMAGES, "y_train": LABELS, "val_images": IMAGES, "notes": np.array("a")}
    found = saved(tmp_path, arrays)
    check(found, test=False)
    assert found.remarks == ("without the arrays val_images, notes",)


def test_images_without_labels_are_read(tmp_path: Path) -> None:
    found = saved(tmp_path, {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES})
    assert found.parts["train"].labels is not None
    assert found.parts["test"].labels is None


def test_test_images_have_the_scale_of_the_training_images(tmp_path: Path) -> None:
    found = saved(tmp_path, {"x_train": IMAGES / 255.0, "x_test": IMAGES[:1] // 255 * 0.5})
    assert found.parts["test"].images.max() == 128
    dark = np.full((1, 3, 3), 9, np.uint8)
    assert saved(tmp_path, {"x_train": IMAGES, "x_test": dark}).parts["test"].images.max() == 9
    with pytest.raises(DataError, match="x_test: its largest value is 255, but white is 1"):
        saved(tmp_path, {"x_train": IMAGES / 255.0, "x_test": IMAGES})


def test_what_is_open_is_asked_for(tmp_path: Path) -> None:
    rows = {"x_train": IMAGES.reshape(9, 6)}
    with pytest.raises(ConfigError, match=r"f.npz: x_train: it has 6 values .*--size HEIGHTxWIDTH"):
        saved(tmp_path, rows)
    assert saved(tmp_path, rows, size=(2, 3)).parts["train"].images.shape == (9, 2, 3)
    digits = {"x_train": IMAGES % 17}
    with pytest.raises(ConfigError, match=r"f.npz: x_train: its largest value is 16.*--white 16"):
        saved(tmp_path, digits)
    assert saved(tmp_path, digits, white=16).parts["train"].images.max() == 255


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no known name": ({"arr_0": IMAGES, "a\x1b": LABELS}, r"the arrays are arr_0, a\\x1b, but"),
    "labels alone": ({"y_train": LABELS}, "y_train are labels without images"),
    "two arrays for one role": ({"images": IMAGES, "data": IMAGES}, "images and data both hold"),
    "fewer labels than images": (
        {"x_train": IMAGES, "y_train": LABELS[:5]}, "train set has 6 images, but 5 labels"
    ),
    "test images of another size": (
        {"x_train": IMAGES, "x_test": IMAGES[:, :2]}, "test images have 2×3 pixels, but the train"
    ),
    "a class that training lacks": (
        {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS * 2},
        "images of class 6, but the classes of training are 1, 2, 3",
    ),
    "colours": ({"x_train": np.zeros((4, 3, 3, 3))}, r"x_train: an array of shape \(4, 3, 3, 3\)"),
    "one dimension": ({"x_train": IMAGES.ravel()}, r"x_train: an array of shape \(54,\)"),
    "negative values": ({"x_train": IMAGES - 1.0}, "x_train: the value -1 in image"),
    "NaN": ({"x_train": np.full((2, 3, 3), np.nan)}, "x_train: the value nan in image 0"),
    "text for images": ({"x_train": np.array([["a"]])}, "x_train: an array of type <U1"),
    "text for labels": ({"x_train": IMAGES, "y_train": np.array(["a"] * 6)}, "y_train: .*<U1"),
    "decimal labels": ({"x_train": IMAGES, "y_train": LABELS / 2}, "y_train: label 1.5 of image 0"),
    "no image": ({"x_train": IMAGES[:0]}, r"x_train: an array of shape \(0, 3, 3\) is empty"),
    "a single number": ({"x_train": np.array(3)}, r"x_train: an array of shape \(\) is empty"),
    "300 classes": (
        {"x_train": np.ones((300, 3, 3)), "y_train": np.arange(300)}, "300 different labels"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_arrays_that_are_no_images_and_labels_are_refused(kind: str, tmp_path: Path) -> None:
    arrays, words = WRONG[kind]
    with pytest.raises(DataError, match=words) as caught:
        saved(tmp_path, arrays)
    assert str(caught.value).startswith(f"{tmp_path / 'f.npz'}: ")


def test_a_folder_that_leaves_the_images_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the arrays are none, but their names must say"):
        read_npy_folder(tmp_path, Answers())
    np.savez(tmp_path / "train_images.npz", IMAGES, LABELS)
    np.save(tmp_path / "train_labels.npy", LABELS)
    with pytest.raises(DataError, match=r"train_images.npz: it holds 2 arrays, but .* hold one"):
        read_npy_folder(tmp_path, Answers())
    with pytest.raises(DataError, match=r"train_labels.npy: by its name, it holds labels"):
        read_npy(tmp_path / "train_labels.npy", Answers())


@pytest.mark.serial
def test_a_mapped_file_of_decimals_takes_the_memory_of_its_bytes(tmp_path: Path) -> None:
    images = np.lib.format.open_memmap(tmp_path / "x_train.npy", "w+", np.float64, (10_000, 28, 28))
    images[:] = 1
    tracemalloc.start()
    try:
        read_npy_folder(tmp_path, Answers())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < images.size + 40e6
