"""Pictures in a folder for each class are read, and each fault is told with its place."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.class_pictures import image, write_pictures

from mlp_cli.data.formats.class_folders import find_pictures, read_class_folders
from mlp_cli.data.formats.collection import Answers, Collection
from mlp_cli.data.formats.orientation import WIDE, width_ratio
from mlp_cli.data.idx import idx_header
from mlp_cli.data.pictures.prepare import prepare_digit
from mlp_cli.data.pictures.reading import as_png
from mlp_cli.data.pictures.windows import scaled
from mlp_cli.data.synthetic import draw_digits
from mlp_cli.errors import ConfigError, DataError

pytest.importorskip("PIL", reason="needs the extra `images`")


def read(folder: Path, **answers: object) -> Collection:
    return read_class_folders(folder, Answers(**answers), lambda done, total: None)  # type: ignore[arg-type]


def write_picture(path: Path, *size: int) -> None:
    path.write_bytes(as_png(image(0, *size)))


def test_the_folders_are_the_classes_and_their_pictures_the_images(tmp_path: Path) -> None:
    images = write_pictures(tmp_path, ["cat", "dog", "an owl"])
    found = read(tmp_path)
    assert list(found.parts) == ["train"]
    assert found.names == ("an owl", "cat", "dog")
    order = [*images[8:], *images[:8]]
    np.testing.assert_array_equal(found.parts["train"].images, order)
    np.testing.assert_array_equal(found.parts["train"].labels, np.repeat([0, 1, 2], 4))


def test_folders_called_by_numbers_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["10", "9", "b", "a", "09", "１"], each=1)
    assert read(tmp_path).names == ("09", "9", "10", "a", "b", "１")


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("training", "testing"), ("Train", "Test")]
)
def test_a_training_and_a_test_set_are_read_and_a_validation_set_is_left_out(
    train: str, test: str, tmp_path: Path
) -> None:
    images = write_pictures(tmp_path / train, ["a", "b", "c"], each=2)
    tests = write_pictures(tmp_path / test, ["b", "c"], each=1)
    write_pictures(tmp_path / "valid", ["a", "b", "c"], each=1)
    found = read(tmp_path)
    np.testing.assert_array_equal(found.parts["train"].images, images)
    np.testing.assert_array_equal(found.parts["test"].images, tests)
    np.testing.assert_array_equal(found.parts["test"].labels, [1, 2])
    assert "valid left out" in str(found)


def test_a_class_may_be_called_train_or_test(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["train", "plane", "test"])
    assert read(tmp_path).names == ("plane", "test", "train")


def test_hidden_files_and_those_of_windows_are_left_out(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / ".cache").mkdir()
    for name in (".DS_Store", "0/.DS_Store", "1/Thumbs.db", "README.txt"):
        (tmp_path / name).write_text("no picture")
    assert len(read(tmp_path).parts["train"].images) == 12


def test_pictures_are_scaled_to_a_size(tmp_path: Path) -> None:
    images = write_pictures(tmp_path)
    write_picture(tmp_path / "2" / "x.png", 9, 4)
    found = read(tmp_path, size=(3, 7)).parts["train"].images
    expected = [np.rint(scaled(each, 3, 7)) for each in [*images, image(0, 9, 4)]]
    np.testing.assert_array_equal(found, expected)


def test_pictures_are_prepared_as_mnist(tmp_path: Path) -> None:
    digits = draw_digits()[0][:4]
    drawn = [255 - np.kron(digit, np.ones((4, 4), np.uint8)) for digit in digits]
    for at, picture in enumerate(drawn):
        (tmp_path / str(at % 2)).mkdir(exist_ok=True)
        (tmp_path / str(at % 2) / f"{at}.png").write_bytes(as_png(picture))
    found = read(tmp_path, prepare=True).parts["train"].images
    for at, picture in zip((0, 2, 1, 3), found, strict=True):
        expected, _ = prepare_digit(drawn[at])
        assert expected is not None
        np.testing.assert_array_equal(picture, expected.image)


def test_numbers_of_a_picture_are_rounded_to_grey_values(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    values = image(0).astype(np.float64) / 255
    np.save(tmp_path / "0" / "x.npy", values)
    np.testing.assert_array_equal(read(tmp_path).parts["train"].images[4], image(0))


def one_picture_of_another_size(folder: Path) -> None:
    write_picture(folder / "1" / "z.png", 7, 5)


def no_picture(folder: Path) -> None:
    (folder / "1" / "notes.txt").write_text("no picture")


def cut_picture(folder: Path) -> None:
    (folder / "1" / "cut.png").write_bytes(as_png(image(0, 50, 50))[:900])


def empty_class(folder: Path) -> None:
    (folder / "5").mkdir()


def folder_in_a_class(folder: Path) -> None:
    write_pictures(folder / "1", ["more"])


def picture_beside_the_classes(folder: Path) -> None:
    write_picture(folder / "loose.png")


def broken_link(folder: Path) -> None:
    (folder / "1" / "link.png").symlink_to("nothing")


def several_pictures_in_a_file(folder: Path) -> None:
    (folder / "1" / "two-idx3-ubyte").write_bytes(idx_header((2, 6, 5)) + bytes(60))


def another_folder_beside_the_sets(folder: Path) -> None:
    write_pictures(folder / "train")
    write_pictures(folder / "test")


FAULTS: dict[Callable[[Path], None], str] = {
    one_picture_of_another_size: (
        r"0/000000.png has 6×5 pixels, but \S*1/z.png has 7×5 pixels. "
        r"Give them one size, or import them .* with --size 6x5 or --prepare"
    ),
    no_picture: r"1/notes.txt: it cannot be read as a picture: it is none of PNG",
    cut_picture: r"1/cut.png: it cannot be read as a picture",
    empty_class: r"5: the folder of a class is empty. Fill or remove it.",
    folder_in_a_class: r"1/more: a folder within a class folder.",
    picture_beside_the_classes: r"loose.png: a picture beside the class folders.",
    broken_link: r"1/link.png: it is no file. Remove it.",
    several_pictures_in_a_file: r"1/two-idx3-ubyte: several pictures in one file.",
    another_folder_beside_the_sets: r"/[012]: it lies beside test and train,",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_a_fault_is_told_with_its_place(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    write_pictures(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=FAULTS[spoil]) as raised:
        read(tmp_path)
    assert "\n" not in str(raised.value)


def test_two_training_sets_are_refused(tmp_path: Path) -> None:
    for name in ("train", "training"):
        write_pictures(tmp_path / name)
    with pytest.raises(DataError, match="/training: a second train set"):
        read(tmp_path)


def test_a_class_that_only_the_test_set_has_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", ["a", "b"])
    write_pictures(tmp_path / "test", ["a", "x\n"])
    with pytest.raises(DataError, match=r"/test: it has images of class x\\n, but .* a, b"):
        read(tmp_path)


@pytest.mark.parametrize(("n", "said"), [(0, "no class folders"), (1, "1 class folder")])
def test_fewer_than_two_classes_are_refused(n: int, said: str, tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a"][:n])
    with pytest.raises(DataError, match=f"{tmp_path}: {said}. .* two classes or more"):
        read(tmp_path)


def test_pictures_in_no_class_folders_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a"])
    with pytest.raises(DataError, match=r"/a: its pictures lie in no class folders. .*mlp predict"):
        read(tmp_path / "a")


def test_more_than_256_classes_are_refused(tmp_path: Path) -> None:
    for name in range(257):
        (tmp_path / str(name)).mkdir()
    with pytest.raises(DataError, match=r"257 class folders, but at most 256"):
        find_pictures(tmp_path)


def test_a_blank_picture_cannot_be_prepared(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a", "b"], each=1)
    (tmp_path / "a" / "000000.png").write_bytes(as_png(np.full((30, 30), 255, np.uint8)))
    with pytest.raises(DataError, match=r"a/000000.png: the picture is blank"):
        read(tmp_path, prepare=True)


def test_pictures_are_either_scaled_or_prepared(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    with pytest.raises(ConfigError, match="--size and --prepare exclude each other"):
        read(tmp_path, size=(5, 5), prepare=True)


def test_small_files_of_huge_pictures_take_no_memory(tmp_path: Path) -> None:
    side = math.isqrt(1 << 24)
    blank = as_png(np.zeros((side, side), np.uint8))
    for name in range(12):
        (tmp_path / str(name)).mkdir()
        (tmp_path / str(name) / "a.png").write_bytes(blank)
    with pytest.raises(DataError, match=r"12 pictures of 4096×4096 pixels are 201,326,592 bytes"):
        read(tmp_path)


@pytest.mark.serial
def test_the_look_at_large_pictures_takes_little_memory() -> None:
    images = np.zeros((20, 2000, 1000), np.uint8)
    images[:, 1000:1100] = 255  # a wide line
    tracemalloc.start()
    try:
        assert width_ratio(images) > WIDE
        assert tracemalloc.get_traced_memory()[1] < images.nbytes // 4
    finally:
        tracemalloc.stop()
