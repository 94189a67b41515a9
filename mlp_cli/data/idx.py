"""Read IDX files, the format of MNIST's files, raw or gzipped.

An IDX file has two zero bytes, a type (0x08: unsigned bytes), the number of dimensions, each
dimension as four bytes with the most significant first, and then the elements, with the last
dimension fastest and the most significant byte of each first. A header is not trusted: the file
must really hold what it claims. So a raw file takes no memory, and a gzipped one takes at most
64 MiB or a hundred times its size. If the file system cannot map a raw file into memory, it takes
its own size.
"""

from __future__ import annotations

import errno
import gzip
import math
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.errors import DataError, StorageWarning, reason
from mlp_cli.storage.files import storage_errors

UNSIGNED_BYTE = 8
TYPES: dict[int, np.dtype[Any]] = {
    UNSIGNED_BYTE: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20  # bytes decoded at once

# A packed file may unpack to so many bytes, or to so many times its size; the larger limit counts.
# gzip packs images to a fifth or a twentieth of their size. It packs zeros to a thousandth, and so
# a file that is made to exhaust the memory.
UNPACKED, UNPACKED_TIMES = 1 << 26, 100


def most_unpacked(size: int) -> int:
    """Return how many bytes a packed file of this size may unpack to."""
    return max(UNPACKED, UNPACKED_TIMES * size)


class Kinds(NamedTuple):
    """What a file may hold: `what` for messages, its types, and its numbers of dimensions."""

    what: str
    types: tuple[int, ...]
    ndims: tuple[int, ...]

    @property
    def magics(self) -> list[bytes]:
        """The first four bytes that a file may have."""
        return [bytes([0, 0, kind, ndim]) for kind in self.types for ndim in self.ndims]

    def __str__(self) -> str:
        """Return what a file begins with, as in "00 00 08 03" or "00 00 08 (01 or 02)"."""
        return f"00 00 {_choice(self.types)} {_choice(self.ndims)}"


def _choice(numbers: tuple[int, ...]) -> str:
    *others, last = (f"{number:02x}" for number in numbers)
    return f"({', '.join(others)} or {last})" if others else last


IMAGES = Kinds("images", tuple(TYPES), (3,))
LABELS = Kinds("labels", tuple(TYPES), (1, 2))


class Header(NamedTuple):
    """The type and the shape of a file's elements."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def start(self) -> int:
        """The byte at which the elements begin."""
        return 4 + 4 * len(self.shape)

    @property
    def size(self) -> int:
        """How many bytes the elements have."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        """Return what the header says, as in "60000×28×28"."""
        text = "×".join(map(str, self.shape))
        return text if self.dtype == np.uint8 else f"{text} of type {self.dtype.name}"


def read_idx(path: Path, *, ndim: int) -> NDArray[np.uint8]:
    """Return the array in an IDX file of unsigned bytes.

    A raw file is mapped into memory read-only, or read with a `StorageWarning` if that is not
    possible; a gzipped one is unpacked into memory.

    Parameters
    ----------
    path
        The file, raw or gzipped; its name does not matter.
    ndim
        The number of dimensions that it must have: 3 for images, 1 for labels.

    Raises
    ------
    DataError
        If it is not such a file, has no elements, or has a length that contradicts its header.
    StorageError
        If it cannot be read.
    """
    what = "images" if ndim == 3 else "labels"
    return read_numbers(path, Kinds(what, (UNSIGNED_BYTE,), (ndim,)))


def read_numbers(path: Path, kinds: Kinds) -> NDArray[Any]:
    """Return the array in an IDX file of one of some types and numbers of dimensions.

    As `read_idx`, which says what is raised. The elements are big-endian, as in the file.
    """
    with storage_errors("read", path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        if packed:
            return _read_gzip(file, size, path, kinds)
        header = _read_header(file, path, kinds)
        _check_length(size - header.start, header, path)
        try:
            mapped = np.memmap(file, header.dtype, "r", header.start, header.shape)
            return mapped.view(np.ndarray)
        except OSError as error:
            if error.errno == errno.ENOMEM:  # then there is none to read it into either
                raise
            lack = f"the file system cannot map files into memory ({reason(error)})"
            harm = "They are read instead, which takes more memory"
            warnings.warn(StorageWarning(path, f"{lack}. {harm}."), stacklevel=2)
    return _read_raw(path, header)


def _read_raw(path: Path, header: Header) -> NDArray[Any]:
    """Read the elements of a raw file with this header."""
    with storage_errors("read", path), path.open("rb") as file:
        file.read(header.start)
        with _memory_errors(path, "Use a machine with more, or fewer images."):
            content = np.empty(header.size, np.uint8)
        _check_length(file.readinto(content.data), header, path)
    return content.view(header.dtype).reshape(header.shape)


@contextmanager
def _memory_errors(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise DataError(f"{path}: it does not fit into memory. {remedy}") from error


def _read_gzip(raw: BufferedReader, size: int, path: Path, kinds: Kinds) -> NDArray[Any]:
    try:
        with _memory_errors(path, "Unpack the file first."), gzip.GzipFile(fileobj=raw) as file:
            header = _read_header(file, path, kinds)
            claimed = header.size
            if claimed > most_unpacked(size):
                raise DataError(
                    f"{path}: its header says {header}, which is {claimed:,} bytes, but the "
                    f"gzip file has only {size:,}. If that is right, unpack the file first."
                )
            content = np.empty(claimed, np.uint8)
            filled = 0
            while chunk := file.read(min(CHUNK, claimed - filled)):
                content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
                filled += len(chunk)
            _check_length(filled + len(file.read(1)), header, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is a damaged gzip file: {reason(error)}. Download or create it again."
        ) from error
    return content.view(header.dtype).reshape(header.shape)


def _read_header(file: BufferedReader | gzip.GzipFile, path: Path, kinds: Kinds) -> Header:
    """Read what a file, which stands at its first byte, says that it holds."""
    magic = file.read(4)
    if magic not in kinds.magics:
        raise DataError(
            f"{path}: its first bytes are {magic.hex(' ') or 'missing'}, but an IDX file of "
            f"{kinds.what} begins with {kinds}. Is it the right file?"
        )
    ndim = magic[3]
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path}: the file ends within its header. Download or create it again.")
    shape = tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, 4 * ndim, 4))
    header = Header(TYPES[magic[2]], shape)
    if 0 in shape:
        raise DataError(f"{path}: its header says {header}, so it is empty. Use a file with data.")
    return header


def idx_header(shape: Sequence[int]) -> bytes:
    """Return the first bytes of an IDX file of unsigned bytes, up to its elements."""
    magic = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    return magic + b"".join(n.to_bytes(4, "big") for n in shape)


def _check_length(payload: int, header: Header, path: Path) -> None:
    expected = header.size
    if payload != expected:
        found = f"more than {expected:,}" if payload > expected else f"{payload:,}"
        raise DataError(
            f"{path}: its header says {header}, which is {expected:,} bytes, but it holds "
            f"{found}. It was cut or changed: download or create it again."
        )
