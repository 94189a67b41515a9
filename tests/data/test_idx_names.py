"""IDX files under the names of EMNIST, QMNIST and others become images, classes and names."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers.idx_writer import idx_of

from mlp_cli.data.formats.collection import Answers
from mlp_cli.data.formats.idx_files import IdxName, idx_name, read_idx_folder
from mlp_cli.data.synthetic import draw_sample
from mlp_cli.errors import ConfigError, DataError

DIGITS = draw_sample(12)
LABELS = np.arange(12, dtype=np.uint8) % 4
NO = Answers()


def put(folder: Path, files: dict[str, np.ndarray]) -> None:
    for name, array in files.items():
        content = idx_of(array)
        (folder / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)


def emnist(split: str, labels: np.ndarray, ending: str = "") -> dict[str, np.ndarray]:
    """Return the files of a split of EMNIST, of which the images lie on their side."""
    return {
        f"emnist-{split}-{part}-{role}-idx{array.ndim}-ubyte{ending}": array
        for part, n in (("train", 8), ("test", 4))
        for role, array in (("images", DIGITS[:n].swapaxes(1, 2)), ("labels", labels[:n]))
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "train-images-idx3-ubyte": ("", "train", "images"),
        "t10k-labels.idx1-ubyte.gz": ("", "test", "labels"),
        "emnist-letters-test-images-idx3-ubyte.gz": ("emnist-letters", "test", "images"),
        "qmnist-train-labels-idx2-int": ("qmnist", "train", "labels"),
        "Latest_Training_Images.IDX": ("latest", "train", "images"),
        "my-train-set-images-idx3-ubyte": ("my-set", "train", "images"),
        "digits-images.idx": ("digits", "train", "images"),
    }.items(),
)
def test_a_name_says_the_data_set_the_part_and_the_role(
    name: str, expected: tuple[str, str, str]
) -> None:
    assert idx_name(name) == IdxName(*expected)


@pytest.mark.parametrize("name", ["train.csv", "idx.images", "labels.txt", "images", "train-idx"])
def test_other_names_are_none_of_idx_files(name: str) -> None:
    assert idx_name(name) is None


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_images_of_emnist_are_turned_upright_and_this_is_said(ending: str, tmp_path: Path) -> None:
    put(tmp_path, emnist("letters", LABELS + 1, ending))
    found = read_idx_folder(tmp_path, NO)
    np.testing.assert_array_equal(found.parts["train"].images, DIGITS[:8])
    np.testing.assert_array_equal(found.parts["test"].images, DIGITS[:4])
    np.testing.assert_array_equal(found.parts["train"].labels, LABELS[:8])
    assert found.names == ("A", "B", "C", "D")
    assert "8 train and 4 test images of 28×28 pixels, 4 classes (A to D), " in str(found)
    assert str(found).endswith(", turned upright")


def test_images_of_emnist_stay_as_they_are_if_the_user_says_so(tmp_path: Path) -> None:
    put(tmp_path, emnist("digits", LABELS))
    found = read_idx_folder(tmp_path, Answers(transpose=False))
    np.testing.assert_array_equal(found.parts["train"].images, DIGITS[:8].swapaxes(1, 2))
    assert (found.names, found.remarks) == (("0", "1", "2", "3"), ())


def test_the_mapping_of_emnist_names_the_classes(tmp_path: Path) -> None:
    put(tmp_path, emnist("bymerge", LABELS + 9))
    mapping = tmp_path / "emnist-bymerge-mapping.txt"
    mapping.write_bytes(b"9 57\r\n10 65\r\n11 66 98\r\n12 67\r\n13 68\r\n\r\n"[:-2])
    assert read_idx_folder(tmp_path, NO).names == ("9", "A", "B", "C")
    mapping.write_text("9 57\n10 65\n11 66\n")
    with pytest.raises(DataError, match=r"mapping.txt: label 12 of the data is missing"):
        read_idx_folder(tmp_path, NO)


@pytest.mark.parametrize(
    "line", [b"1", b"one 65", b"1 65 x", b"1 7", b"1 55296", b"1 99999999999", b"0 66", b"\xff"]
)
def test_a_damaged_mapping_is_refused_by_its_line(line: bytes, tmp_path: Path) -> None:
    put(tmp_path, emnist("balanced", LABELS))
    (tmp_path / "emnist-balanced-mapping.txt").write_bytes(b"0 65\n" + line + b"\n2 67\n")
    with pytest.raises(DataError, match=r"mapping.txt, line 2: it must be a label"):
        read_idx_folder(tmp_path, NO)


def test_of_several_data_sets_the_user_names_one_by_a_file(tmp_path: Path) -> None:
    put(tmp_path, emnist("letters", LABELS + 1) | emnist("digits", LABELS))
    put(tmp_path, {"images.idx": DIGITS})
    names = [f"emnist-{split}-train-images-idx3-ubyte" for split in ("digits", "letters")]
    with pytest.raises(ConfigError, match=f"images of several data sets: .*{', '.join(names)}. "):
        read_idx_folder(tmp_path, NO)
    found = read_idx_folder(tmp_path / names[0], NO)
    assert (list(found.parts), found.names) == (["train", "test"], ("0", "1", "2", "3"))


def test_a_file_of_test_images_is_read_alone_with_its_labels(tmp_path: Path) -> None:
    put(tmp_path, emnist("letters", LABELS + 1))
    found = read_idx_folder(tmp_path / "emnist-letters-test-images-idx3-ubyte", NO)
    assert list(found.parts) == ["test"]
    np.testing.assert_array_equal(found.parts["test"].labels, LABELS[:4])


def test_the_rows_of_labels_of_qmnist_begin_with_the_class(tmp_path: Path) -> None:
    labels = np.tile(np.arange(8, dtype=np.int32) * 100, (12, 1))
    labels[:, 0] = LABELS
    put(
        tmp_path,
        {
            "qmnist-train-images-idx3-ubyte.gz": DIGITS,
            "qmnist-train-labels-idx2-int.gz": labels,
            "qmnist-test-images-idx3-ubyte": DIGITS,
            "qmnist-test-labels-idx2-int": labels,
        },
    )
    found = read_idx_folder(tmp_path, NO)
    for part in ("train", "test"):
        np.testing.assert_array_equal(found.parts[part].images, DIGITS)
        np.testing.assert_array_equal(found.parts[part].labels, LABELS)


@pytest.mark.parametrize("kind", ["i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), "one-hot"])
def test_all_types_of_images_and_labels_become_bytes(
    kind: str, shape: tuple[int, ...] | str, tmp_path: Path
) -> None:
    scale = 255 if kind[0] == "f" else 1
    labels = np.eye(4)[LABELS] if shape == "one-hot" else LABELS.reshape(shape)  # type: ignore[arg-type]
    put(
        tmp_path,
        {
            "train-images-idx3": (DIGITS / scale).astype(kind),
            "train-labels-idx2": labels.astype(kind),
        },
    )
    part = read_idx_folder(tmp_path, NO).parts["train"]
    np.testing.assert_array_equal(part.images, DIGITS)
    np.testing.assert_array_equal(part.labels, LABELS)
    assert part.labels is not None
    assert part.images.dtype == part.labels.dtype == np.uint8


def test_both_sets_have_one_scale_of_grey(tmp_path: Path) -> None:
    dark = np.minimum(DIGITS, 90)
    put(tmp_path, {"train-images-idx3": DIGITS, "t10k-images-idx3": dark})
    np.testing.assert_array_equal(read_idx_folder(tmp_path, NO).parts["test"].images, dark)
    (tmp_path / "train-images-idx3").unlink()
    with pytest.raises(ConfigError, match=r"largest value is 90.*--white"):
        read_idx_folder(tmp_path, NO)
    found = read_idx_folder(tmp_path, Answers(white=90))
    assert found.parts["test"].images.max() == 255


def test_images_without_labels_are_read_without_classes(tmp_path: Path) -> None:
    put(tmp_path, {"anything": DIGITS})
    found = read_idx_folder(tmp_path / "anything", NO)
    assert (found.parts["train"].labels, found.names) == (None, ())
    assert "12 train images of 28×28 pixels, no labels" in str(found)


def test_a_raw_file_is_read_before_a_gzipped_one(tmp_path: Path) -> None:
    put(tmp_path, {"train-images-idx3.gz": 255 - DIGITS, "train-images.idx3": DIGITS})
    found = read_idx_folder(tmp_path, NO)
    np.testing.assert_array_equal(found.parts["train"].images, DIGITS)


def test_a_hidden_file_is_read_if_it_is_named(tmp_path: Path) -> None:
    put(tmp_path, {".train-images-idx3": DIGITS, ".train-labels-idx1": LABELS})
    assert read_idx_folder(tmp_path / ".train-images-idx3", NO).parts["train"].labels is None
    with pytest.raises(DataError, match="the folder holds no IDX file of images"):
        read_idx_folder(tmp_path, NO)


def test_labels_need_their_images(tmp_path: Path) -> None:
    put(tmp_path, {"train-images-idx3": DIGITS, "test-labels-idx1": LABELS})
    with pytest.raises(DataError, match="test-labels-idx1: there is no file of images beside"):
        read_idx_folder(tmp_path, NO)
    with pytest.raises(DataError, match=r"a file of labels\. Name the file of images"):
        read_idx_folder(tmp_path / "test-labels-idx1", NO)
    (tmp_path / "train-images-idx3").unlink()
    with pytest.raises(DataError, match="the folder holds no IDX file of images"):
        read_idx_folder(tmp_path, NO)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("train-labels-idx1", LABELS[:-1], "has 12 images, but 11 labels"),
        ("train-labels-idx1", LABELS - 0.5, "train-labels-idx1: label -0.5 of image 0"),
        ("test-images-idx3", DIGITS[:, 1:], "27×28 pixels, but the train images have 28×28"),
        ("test-images-idx3", DIGITS - 1.0, "test-images-idx3: the value -1 in image 0"),
        ("test-labels-idx1", LABELS + 1, "images of class 4, but the classes of training are"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    name: str, array: np.ndarray, words: str, tmp_path: Path
) -> None:
    pair = {"images-idx3": DIGITS, "labels-idx1": LABELS}
    put(tmp_path, {f"{part}-{role}": pair[role] for part in ("train", "test") for role in pair})
    put(tmp_path, {name: array})
    with pytest.raises(DataError, match=words):
        read_idx_folder(tmp_path, NO)
