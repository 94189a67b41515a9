"""A source's format is seen from its content, and what is open or unknown is said."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.idx_writer import idx_of

from mlp_cli.data.formats.collection import Answers, Collection, NoFileError
from mlp_cli.data.formats.orientation import are_wide, width_ratio
from mlp_cli.data.formats.recognise import read_collection
from mlp_cli.data.idx import read_idx
from mlp_cli.data.synthetic import draw_sample
from mlp_cli.errors import ConfigError, DataError

DIGITS = draw_sample(8)
LABELS = np.arange(8, dtype=np.uint8) % 3


def csv(images: np.ndarray = DIGITS) -> bytes:
    rows = np.column_stack([LABELS, images.reshape(len(images), -1)])
    return "".join(f"{','.join(map(str, row))}\n" for row in rows.tolist()).encode()


def write_csv(folder: Path) -> Path:
    (folder / "digits").write_bytes(csv())
    return folder / "digits"


def write_packed_csv(folder: Path) -> Path:
    (folder / "digits").write_bytes(gzip.compress(csv()))
    return folder / "digits"


def write_npz(folder: Path) -> Path:
    with (folder / "digits").open("wb") as file:
        np.savez_compressed(file, x_train=DIGITS, y_train=LABELS)
    return folder / "digits"


def write_npy(folder: Path) -> Path:
    with (folder / "digits").open("wb") as file:
        np.save(file, DIGITS)
    return folder / "digits"


def write_idx(folder: Path) -> Path:
    (folder / "digits").write_bytes(idx_of(DIGITS.astype(np.int16)))
    return folder / "digits"


def write_packed_idx(folder: Path) -> Path:
    (folder / "digits").write_bytes(gzip.compress(idx_of(DIGITS / 255)))
    return folder / "digits"


def write_idx_pair(folder: Path) -> Path:
    (folder / "train-images.idx3-ubyte").write_bytes(idx_of(DIGITS))
    (folder / "train-labels.idx1-ubyte").write_bytes(idx_of(LABELS))
    return folder


def write_npy_pair(folder: Path) -> Path:
    np.save(folder / "x_train.npy", DIGITS)
    np.save(folder / "y_train.npy", LABELS)
    return folder


def write_tables(folder: Path) -> Path:
    (folder / "mnist_train.csv").write_bytes(csv())
    return folder


def write_pictures(folder: Path) -> Path:
    image = pytest.importorskip("PIL.Image", reason="needs the extra images")
    for number, (digit, label) in enumerate(zip(DIGITS, LABELS, strict=True)):
        path = folder / "train" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(digit).save(path)
    return folder


WITH_LABELS = [
    write_csv,
    write_packed_csv,
    write_npz,
    write_idx_pair,
    write_npy_pair,
    write_tables,
    write_pictures,
]


@pytest.mark.parametrize("write", [*WITH_LABELS, write_npy, write_idx, write_packed_idx])
def test_each_format_is_seen_whatever_the_name_of_its_file(write, tmp_path: Path) -> None:
    source = write(tmp_path)
    if write in (write_csv, write_packed_csv, write_tables):
        answers = Answers(label_column="first")
    else:
        answers = Answers()
    part = read_collection(source, answers).parts["train"]
    order = np.argsort(LABELS, kind="stable") if write is write_pictures else slice(None)
    np.testing.assert_array_equal(part.images, DIGITS[order])
    if write in WITH_LABELS:
        np.testing.assert_array_equal(part.labels, LABELS[order])
    else:
        assert part.labels is None


@pytest.mark.parametrize(
    ("content", "words"),
    {
        b"": "it is empty or damaged, and so no known format",
        b"\x80\x04\x95\x00": "it begins with 80 04 95 00, and so no known",
        gzip.compress(b"\x80\x04\x95\x00", mtime=0): "it begins with 80 04 95 00, and so no known",
        gzip.compress(b"label,", mtime=0)[:8] + b"\xff" * 20: "it is empty or damaged",
        b"\xff\xfel\0a\0b\0": "it begins with ff fe 6c 00",
        b"PK\3\4": "a zip archive. Unpack it",
    }.items(),
)
def test_an_unknown_file_is_told_what_it_is_and_what_is_known(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(NoFileError, match=words) as caught:
        read_collection(tmp_path / "f.csv")
    assert str(caught.value).startswith(f"{tmp_path / 'f.csv'}: ")


def test_a_zip_archive_of_tables_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.npz", "w") as archive:
        archive.writestr("train.csv", csv())
    with pytest.raises(NoFileError, match=r"a zip archive\. Unpack it, and name what it holds"):
        read_collection(tmp_path / "archive.npz")


@pytest.mark.parametrize("magic", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM\0\0"])
def test_a_single_picture_is_no_collection(magic: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(magic + bytes(20))
    with pytest.raises(DataError, match=r"a single picture\. Name a folder"):
        read_collection(tmp_path / "f")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoFileError, match="none: there is no such file or folder"):
        read_collection(tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoFileError, match="it is neither a file nor a folder"):
        read_collection(tmp_path / "pipe")


def test_a_folder_without_images_is_told_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(NoFileError, match=r"the folder is empty\. Images are"):
        read_collection(tmp_path)
    for name in ("b\x1b", "a", ".hidden.csv", *"12345"):
        (tmp_path / name).touch()
    (tmp_path / "deep" / "er" / "still").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "still" / "x.png").touch()
    with pytest.raises(NoFileError, match=r"no images, only 1, 2, 3, 4, 5, …\. Images"):
        read_collection(tmp_path)
    for name in "1234":
        (tmp_path / name).unlink()
    with pytest.raises(NoFileError, match=r"no images, only 5, a, b\\x1b, deep\. Images"):
        read_collection(tmp_path)


def test_of_two_formats_in_a_folder_the_user_names_one(tmp_path: Path) -> None:
    write_tables(write_idx_pair(tmp_path))
    with pytest.raises(ConfigError) as caught:
        read_collection(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the folder holds CSV tables (mnist_train.csv) and IDX files "
        "(train-images.idx3-ubyte). Name the file that is meant instead of the folder, or put each "
        "kind into a folder of its own."
    )
    read_collection(tmp_path / "train-images.idx3-ubyte")


def on_its_side(folder: Path, answers: Answers) -> Collection:
    np.save(folder / "x_train.npy", draw_sample(100).swapaxes(1, 2))
    return read_collection(folder / "x_train.npy", answers)


def test_drawings_that_are_wider_than_tall_get_a_remark(tmp_path: Path) -> None:
    (remark,) = on_its_side(tmp_path, Answers()).remarks
    assert remark == (
        "on average drawn wider than tall (import with --transpose if they lie on their side)"
    )


def test_an_upright_set_under_a_name_of_emnist_gets_a_remark_too(tmp_path: Path) -> None:
    path = tmp_path / "emnist-mnist-train-images-idx3-ubyte"
    path.write_bytes(idx_of(draw_sample(100)))
    turned, wide = read_collection(path).remarks
    assert turned == "turned upright"
    assert "--no-transpose" in wide


def test_the_user_can_turn_images_upright_or_leave_them(tmp_path: Path) -> None:
    turned = on_its_side(tmp_path, Answers(transpose=True))
    np.testing.assert_array_equal(turned.parts["train"].images, draw_sample(100))
    assert turned.remarks == ("turned upright",)
    left = on_its_side(tmp_path, Answers(transpose=False))
    np.testing.assert_array_equal(left.parts["train"].images, draw_sample(100).swapaxes(1, 2))
    assert left.remarks == ()


def test_emnist_is_turned_once_if_the_user_says_so_too(tmp_path: Path) -> None:
    path = tmp_path / "emnist-digits-train-images-idx3-ubyte"
    path.write_bytes(idx_of(DIGITS.swapaxes(1, 2)))
    for answers in (Answers(), Answers(transpose=True)):
        found = read_collection(tmp_path, answers)
        np.testing.assert_array_equal(found.parts["train"].images, DIGITS)
        assert found.remarks == ("turned upright",)


def check_orientation(images: np.ndarray, ratio: float) -> None:
    assert round(width_ratio(images), 2) == ratio
    assert not are_wide(images)
    assert are_wide(images.swapaxes(1, 2))
    assert are_wide(images.max() - images.swapaxes(1, 2))


def test_drawn_digits_that_lie_on_their_side_are_seen() -> None:
    check_orientation(draw_sample(500), -0.79)


def test_digits_of_mnist_that_lie_on_their_side_are_seen(mnist_source: Path) -> None:
    (path,) = mnist_source.glob("train-images*")
    check_orientation(read_idx(path, ndim=3), -0.98)


def test_digits_of_scikit_learn_that_lie_on_their_side_are_seen() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    check_orientation(datasets.load_digits().images.astype(np.uint8), -0.89)


@pytest.mark.parametrize("images", [np.zeros((3, 8, 8), np.uint8), np.full((1, 1, 1), 7, np.uint8)])
def test_images_without_ink_are_not_wide(images: np.ndarray) -> None:
    assert not are_wide(images)
