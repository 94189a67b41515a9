"""Pictures are read from files of every kind, and what is no picture is refused by one message."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.stand_ins import idx
from numpy.typing import NDArray

from mlp_cli.data.pictures.reading import picture_files, read_pictures
from mlp_cli.errors import ConfigError, DataError, StorageError

Pixels = NDArray[np.uint8]


def drawing() -> Pixels:
    """Dark strokes on light paper, different in each direction."""
    picture = np.full((30, 20), 250, np.uint8)
    picture[5:25, 4:7] = 10
    picture[5:8, 4:12] = 10
    return picture


def values(path: Path) -> list[Pixels]:
    return [np.asarray(picture.values) for picture in read_pictures(path)]


def test_arrays_and_idx_files_hold_one_picture_or_many(tmp_path: Path) -> None:
    one, two = drawing(), 255 - drawing()
    files = {"one.npy": [one], "many.npy": [one, two], "raw": [one, two], "packed.gz": [one, two]}
    np.save(tmp_path / "one.npy", one)
    np.save(tmp_path / "many.npy", np.stack([one, two]))
    (tmp_path / "raw").write_bytes(idx(np.stack([one, two])))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(np.stack([one, two]))))
    for name, expected in files.items():
        found = list(read_pictures(tmp_path / name))
        assert np.array_equal([picture.values for picture in found], expected)
        single = [str(tmp_path / name)]
        several = [f"{tmp_path / name}[{i}]" for i in range(len(expected))]
        assert [picture.name for picture in found] == (single if len(found) == 1 else several)


@pytest.mark.parametrize(
    ("array", "white"),
    [
        (drawing() / 255.0, 255),
        (drawing() > 128, 255),
        (drawing().astype(np.int64), 255),
        (drawing().astype(">u2") * 257, 65535),
        (drawing().astype(np.uint16) * 16, 4095),
        (np.repeat(drawing()[..., None], 3, axis=2), 255),
        (np.dstack([drawing()] * 3 + [np.full((30, 20), 255, np.uint8)]), 255),
    ],
    ids=["shares", "booleans", "integers", "16 bits", "12 bits", "colours", "opaque"],
)
def test_numbers_of_every_range_are_grey_values(
    array: NDArray[np.number], white: int, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", array)
    (found,) = values(tmp_path / "a.npy")
    exact = array.dtype != bool
    expected = drawing() if exact else np.where(drawing() > 128, 255, 0)
    assert found == pytest.approx(expected.astype(float), abs=1 if white == 4095 else 0.01)


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}], dtype=object),
        np.zeros(5),
        np.zeros((0, 28, 28)),
        np.zeros((2, 2, 2, 2)),
        np.full((3, 3), -1),
        np.full((3, 3), np.nan),
        np.full((3, 3), 1e9),
        np.zeros((3, 3), complex),
        np.zeros((1, 50_000_001), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_an_array_that_holds_no_picture_is_refused(
    array: NDArray[np.generic], tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy"):
        values(tmp_path / "a.npy")


def test_a_claim_in_a_header_takes_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", drawing())
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole.replace(b"(30, 20), ", b"(9999999,9999999)"))
    with pytest.raises(DataError, match="damaged"):
        values(tmp_path / "a.npy")


def test_a_folder_means_its_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in (
        "b.PNG",
        "a.jpeg",
        "under/c.npy",
        "train-images-idx3-ubyte",
        "notes.txt",
        ".d.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(file.relative_to(tmp_path)) for file in picture_files(tmp_path)]
    assert found == ["a.jpeg", "b.PNG", "train-images-idx3-ubyte", "under/c.npy"]


@pytest.mark.parametrize("name", ["missing.png", "x.png", "loop.png"])
def test_a_path_without_a_picture_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(DataError, match=name):
        picture_files(tmp_path / name)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(StorageError, match=r"a\.png"):
        values(tmp_path / "a.png")


def test_a_stream_is_read_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.TextIOWrapper(io.BytesIO(gzip.compress(idx(np.stack([drawing()])))))
    monkeypatch.setattr(sys, "stdin", packed)
    (found,) = read_pictures(Path("-"))
    assert found.name == "-[0]"
    assert np.array_equal(found.values, drawing())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x93NUMPY")))
    with pytest.raises(DataError, match=r"^-: a damaged \.npy file"):
        list(read_pictures(Path("-")))
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="closed"):
        list(read_pictures(Path("-")))


def test_without_the_extra_a_picture_is_refused_and_an_array_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr("mlp_cli.data.pictures.reading.find_spec", lambda _: None)
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"mlp-cli\[images\]"):
        values(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", drawing())
    assert np.array_equal(values(tmp_path / "a.npy")[0], drawing())
