"""Read pictures from files, folders and streams as arrays of grey values.

What a file is, its first bytes say, not its name: PNG, JPEG, BMP, TIFF, WebP and GIF (of several
frames the first), NumPy's `.npy`, and IDX, raw or gzipped. Pictures need Pillow, which the extra
`images` installs and only this module imports. Colours become grey as Pillow does it: 0.299 red +
0.587 green + 0.114 blue.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.idx import GZIP_MAGIC, read_idx
from mlp_cli.errors import ConfigError, DataError, reason
from mlp_cli.storage.files import mode_of, storage_errors
from mlp_cli.storage.paths import STREAM

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
ENDINGS = (*PICTURES, ".npy", "idx3-ubyte", "idx3-ubyte.gz")  # of what is read in a folder
NPY_MAGIC, IDX_MAGIC = b"\x93NUMPY", b"\0\0\x08"
MOST_PIXELS = 50_000_000  # of a picture; Pillow takes 4 bytes for each
MANY_PIXELS = 10_000_000  # a larger picture with transparent parts is halved
MOST_STREAMED = 1 << 28  # bytes
CHUNK = 1 << 20
SHARES = (0.299, 0.587, 0.114)  # of red, green and blue in grey
WHITES = (1023, 4095, 16383, 65535)

NEEDED = "pictures need the extra `images`: pip install 'mlp-cli[images]'"
ORIENTATION = 0x0112  # in EXIF

Values = NDArray[Any]
Grey = NDArray[np.uint8] | NDArray[np.float32]


class Picture(NamedTuple):
    """The grey values (height, width) of a picture, 0 (black) to 255, and its name."""

    name: str
    values: Grey


def picture_files(path: Path) -> list[Path]:
    """Return the files that a path means: itself, or those with a known suffix in a folder.

    A folder is searched downwards, in the order of names. Hidden files and folders are left out.

    Raises
    ------
    DataError
        If nothing is there, or if the folder holds no picture.
    StorageError
        If it cannot be read.
    """
    if path == STREAM:
        return [path]
    with storage_errors("read", path):
        mode = mode_of(path)
        if mode is None:
            raise DataError(f"{path}: there is no such file. Name a picture or a folder of them.")
        if not stat.S_ISDIR(mode):
            return [path]
        found = []
        for folder, folders, names in os.walk(path, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [
                Path(folder, name)
                for name in sorted(names)
                if name.lower().endswith(ENDINGS) and not name.startswith(".")
            ]
    if not found:
        known = ", ".join(ENDINGS)
        raise DataError(f"{path}: the folder holds no picture. These end in {known}.")
    return found


def _raise(error: OSError) -> None:
    raise error


def read_pictures(path: Path) -> Iterator[Picture]:
    """Yield the pictures of a file, or of the standard input if the path is `-`.

    Raises
    ------
    ConfigError
        If the extra `images` is needed and not installed.
    DataError
        If the file is damaged, too large, or nothing that can be read.
    StorageError
        If it cannot be read.
    """
    if path == STREAM:
        if sys.stdin is None:
            raise DataError("standard input is closed. Name a file.")
        with storage_errors("copy", path), _spooled(sys.stdin.buffer, "standard input") as file:
            yield from _named(_read(file), file, "-")
        return
    with storage_errors("read", path):
        if stat.S_ISREG(path.stat().st_mode):
            yield from _read(path)
            return
        with path.open("rb") as stream, _spooled(stream, str(path)) as file:
            yield from _named(_read(file), file, str(path))


@contextmanager
def _spooled(stream: io.BufferedIOBase | Any, name: str) -> Iterator[Path]:
    """Copy a stream, which can be read once, to a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "picture")
        with file.open("wb") as copy:
            while chunk := stream.read(CHUNK):
                copy.write(chunk)
                if copy.tell() > MOST_STREAMED:
                    raise DataError(f"{name}: more than {MOST_STREAMED >> 20} MiB. Name a file.")
        yield file


def _named(pictures: Iterator[Picture], file: Path, name: str) -> Iterator[Picture]:
    """Give pictures, and errors, another name than that of their temporary file."""
    try:
        for picture in pictures:
            yield Picture(picture.name.replace(str(file), name, 1), picture.values)
    except DataError as error:
        raise DataError(str(error).replace(str(file), name, 1)) from error


def _read(file: Path) -> Iterator[Picture]:
    with file.open("rb") as opened:
        start = opened.read(len(NPY_MAGIC))
    if start.startswith(NPY_MAGIC):
        yield from _read_npy(file)
    elif start.startswith((IDX_MAGIC, GZIP_MAGIC)):
        for index, image in enumerate(read_idx(file, ndim=3)):
            yield Picture(f"{file}[{index}]", image)
    else:
        yield Picture(str(file), _read_picture(file))


def _read_npy(file: Path) -> Iterator[Picture]:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # of a damaged file, almost any
        raise DataError(f"{file}: a damaged .npy file: {reason(error)}. Save it again.") from error
    colours = array.ndim > 2 and array.shape[-1] in (3, 4)
    if array.ndim - colours not in (2, 3) or not array.size or array.dtype.kind not in "buif":
        raise DataError(
            f"{file}: an array of type {array.dtype} and shape {array.shape}, but pictures are "
            "numbers of shape (height, width) or (n, height, width), or with 3 or 4 colours last."
        )
    single = array.ndim - colours == 2
    for index, picture in enumerate(array[None] if single else array):
        name = str(file) if single else f"{file}[{index}]"
        _check_size(name, picture.shape[1], picture.shape[0])
        values = _to_255(name, np.asarray(picture))
        if colours:
            values = _without_colours(values)
        yield Picture(name, values)


def _to_255(name: str, values: Values) -> Grey:
    """Return numbers as grey values from 0 to 255.

    Fractions up to 1 are shares of white. Numbers above 255 have 10, 12, 14 or 16 bits.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 65535):
        raise DataError(
            f"{name}: values from {low:g} to {high:g}, but grey values are 0 to 1, 0 to 255 or "
            "0 to 65535."
        )
    scale = 1.0
    if values.dtype.kind == "f" and high <= 1:
        scale = 255
    elif high > 255:
        scale = 255 / next(white for white in WHITES if high <= white)
    return values.astype(np.float32) * np.float32(scale)


def _without_colours(values: Values) -> NDArray[np.float32]:
    grey: NDArray[np.float32] = (values[..., :3] * np.array(SHARES, np.float32)).sum(axis=-1)
    if values.shape[-1] == 4:
        return _on_paper(grey, values[..., 3])
    return grey


def _on_paper(grey: Values, alpha: Values) -> NDArray[np.float32]:
    """Return what a picture with transparent parts looks like on paper that suits it.

    If most of it is transparent, the rest is ink, and the paper is black for bright ink and white
    for dark ink. Otherwise the rest is paper, and the transparent parts are filled with its mean.
    """
    share = alpha.astype(np.float32) / np.float32(255)
    opaque = float(share.mean(dtype=np.float64))
    if opaque == 0:
        return np.full(grey.shape, 255, np.float32)
    mean = float((grey * share).mean(dtype=np.float64)) / opaque
    paper = mean if opaque >= 0.5 else 0 if mean >= 128 else 255
    seen: NDArray[np.float32] = grey.astype(np.float32) * share + np.float32(paper) * (1 - share)
    return seen


def _read_picture(file: Path) -> Grey:
    if find_spec("PIL") is None:
        raise ConfigError(
            f"{file}: pictures need the extra `images`: pip install 'mlp-cli[images]'"
        )
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of the file that are not looked at here
            with Image.open(file, formats=FORMATS) as image:
                _check_size(str(file), *image.size)
                image.load()
                orientation = 1
                with suppress(Exception):  # a damaged orientation is none
                    orientation = image.getexif().get(ORIENTATION, 1)
                return _upright(_grey(str(file), image), orientation)
    except DataError:
        raise
    except Exception as error:  # of a damaged file, Pillow raises almost any
        what = reason(error)
        if isinstance(error, UnidentifiedImageError):
            what = f"it is none of {', '.join(FORMATS)}, .npy and IDX"
        raise DataError(f"{file}: it cannot be read as a picture: {what}.") from error


def _grey(name: str, image: Image) -> Grey:
    """Return the grey values of a picture of Pillow's."""
    if image.mode.startswith(("I", "F")):  # 16 bits, or any numbers
        return _to_255(name, np.asarray(image))
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    if image.mode not in ("LA", "RGBA"):
        image = image.convert("RGBA")
    grey, alpha = image.convert("L"), image.getchannel("A")
    if image.width * image.height > MANY_PIXELS:
        grey, alpha = grey.reduce(2), alpha.reduce(2)
    return _on_paper(np.asarray(grey), np.asarray(alpha))


def _upright(grey: Grey, orientation: int) -> Grey:
    """Return a picture as the camera was held, by the eight orientations of EXIF."""
    if orientation in (5, 6, 7, 8):
        grey = grey.T
    if orientation in (3, 4, 7, 8):
        grey = grey[::-1]
    if orientation in (2, 3, 6, 7):
        grey = grey[:, ::-1]
    return grey


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{name}: {width} × {height} pixels are too many; at most {MOST_PIXELS:,} are read. "
            "Make the picture smaller."
        )


def as_png(image: NDArray[np.uint8]) -> bytes:
    """Return grey values (height, width) as a PNG file.

    Raises
    ------
    ConfigError
        If the extra `images` is not installed.
    """
    if find_spec("PIL") is None:
        raise ConfigError(NEEDED)
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
