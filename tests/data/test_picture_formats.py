"""Pictures of every format are read alike, and damaged ones are refused by one message."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlp_cli.data.pictures.reading import as_png, read_pictures
from mlp_cli.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")

Pixels = NDArray[np.uint8]

DARK, LIGHT = 10, 250


def drawing() -> Pixels:
    """Dark strokes on light paper, different in each direction."""
    picture = np.full((30, 20), LIGHT, np.uint8)
    picture[5:25, 4:7] = DARK
    picture[5:8, 4:12] = DARK
    return picture


INK = drawing() == DARK


def only(path: Path) -> NDArray[np.float64]:
    (picture,) = read_pictures(path)
    assert picture.name == str(path)
    return np.asarray(picture.values, float)


COLOURS = {
    "png": "L RGB P 1 LA RGBA",
    "jpg": "L RGB CMYK",
    "bmp": "L RGB P 1 RGBA",
    "tiff": "L RGB CMYK P 1 LA RGBA",
    "webp": "RGB RGBA",
    "gif": "L RGB P 1 RGBA",
}


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(suffix, mode) for suffix, modes in COLOURS.items() for mode in modes.split()],
)
def test_every_format_and_colour_is_grey(suffix: str, mode: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(drawing()).convert(mode).save(file)
    assert np.array_equal(only(file) < 128, INK)


def test_the_content_decides_what_a_file_is_not_its_name(tmp_path: Path) -> None:
    Image.fromarray(drawing()).save(tmp_path / "a", "JPEG")
    (tmp_path / "a").rename(tmp_path / "a.png")
    assert np.array_equal(only(tmp_path / "a.png") < 128, INK)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_pictures_of_more_than_8_bits_keep_their_ink(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(drawing().astype(dtype) * dtype(200)).save(tmp_path / "a.tiff")
    found = only(tmp_path / "a.tiff")
    assert found.max() <= 255
    assert np.array_equal(found < 100, INK)


@pytest.mark.parametrize("orientation", range(1, 10))
def test_a_photograph_stands_as_the_camera_was_held(orientation: int, tmp_path: Path) -> None:
    image = Image.fromarray(drawing())
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    back: dict[int, Callable[[Pixels], Pixels]] = {
        2: lambda found: found[:, ::-1],
        3: lambda found: np.rot90(found, 2),
        4: lambda found: found[::-1],
        5: lambda found: found.T,
        6: lambda found: np.rot90(found, 1),
        7: lambda found: np.rot90(found, 2).T,
        8: lambda found: np.rot90(found, -1),
    }
    found = back.get(orientation, np.asarray)(only(tmp_path / "a.png"))
    assert np.array_equal(found, drawing())


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_transparent_paper_is_seen(ink: int, tmp_path: Path) -> None:
    picture = np.full((30, 20, 4), ink, np.uint8)
    picture[..., 3] = np.where(INK, 255, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert np.array_equal(np.abs(only(tmp_path / "a.png") - ink) < 128, INK)


def test_transparent_corners_of_paper_are_paper_and_nothing_at_all_is_blank(tmp_path: Path) -> None:
    picture = np.dstack([drawing()] * 3 + [np.full((30, 20), 255, np.uint8)])
    picture[:4, :4] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert np.array_equal(only(tmp_path / "a.png") < 128, INK)
    picture[..., 3] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert np.ptp(only(tmp_path / "a.png")) == 0


@pytest.mark.parametrize("suffix", ["gif", "webp", "tiff"])
def test_of_several_frames_the_first_is_read(suffix: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(drawing(), 3 * shift, axis=1)) for shift in range(3)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert np.array_equal(only(tmp_path / f"a.{suffix}") < 128, INK)


@pytest.mark.parametrize("suffix", COLOURS)
def test_a_file_that_is_cut_anywhere_is_refused_or_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(drawing()).save(file)
    content = file.read_bytes()
    refused = 0
    for length in range(0, len(content), max(1, len(content) // 40)):
        file.write_bytes(content[:length])
        try:
            only(file)
        except DataError as error:
            refused += 1
            assert str(error).startswith(f"{file}: ")
            assert "\n" not in str(error)
    assert refused


def png(width: int, height: int, packed: bytes) -> bytes:
    """A PNG file of grey values, of which only the header need be true."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("sides", [(60_000, 60_000), (10_000, 5_001), (2**31 - 1, 1)])
def test_a_picture_with_too_many_pixels_is_refused_before_it_is_unpacked(
    sides: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "bomb.png").write_bytes(png(*sides, zlib.compress(bytes(1000))))
    with pytest.raises(DataError, match=r"bomb\.png: .*pixels"):
        only(tmp_path / "bomb.png")


@pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe"])
def test_what_is_no_picture_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: it cannot be read as a picture: "):
        only(tmp_path / "a.png")


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(as_png(drawing()))
    assert np.array_equal(only(tmp_path / "a.png"), drawing())
