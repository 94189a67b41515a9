"""Read IDX files, the format of MNIST's files, raw or gzipped.

An IDX file has two zero bytes, a type (0x08: unsigned bytes), the number of dimensions, each
dimension as four bytes with the most significant first, and then the elements, with the last
dimension fastest. A header is not trusted: the file must really hold what it claims. So a raw file
takes no memory, and a gzipped one takes at most 64 MiB or a hundred times its size. If the file
system cannot map a raw file into memory, it takes its own size.
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

import numpy as np
from numpy.typing import NDArray

from mlp_cli.errors import DataError, StorageWarning, reason
from mlp_cli.storage.files import storage_errors

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20  # bytes decoded at once

# A gzip file may unpack to so many bytes, or to so many times its size; the larger limit counts.
# gzip packs images to a fifth or a twentieth of their size. It packs zeros to a thousandth, and so
# a file that is made to exhaust the memory.
UNPACKED, UNPACKED_TIMES = 1 << 26, 100


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
    with storage_errors("read", path), path.open("rb") as file:
        start = file.read(4 + 4 * ndim)
        size = os.fstat(file.fileno()).st_size
        if start[:2] == GZIP_MAGIC:
            file.seek(0)
            return _read_gzip(file, size, path, ndim)
        shape = _shape(start, path, ndim)
        _check_length(size - len(start), shape, path)
        try:
            return np.memmap(file, np.uint8, "r", len(start), shape).view(np.ndarray)
        except OSError as error:
            if error.errno == errno.ENOMEM:  # then there is none to read it into either
                raise
            lack = f"the file system cannot map files into memory ({reason(error)})"
            harm = "They are read instead, which takes more memory"
            warnings.warn(StorageWarning(path, f"{lack}. {harm}."), stacklevel=2)
    return _read_raw(path, len(start), shape)


def _read_raw(path: Path, start: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an array of this shape, which the file holds from byte `start` on."""
    with storage_errors("read", path), path.open("rb") as file:
        file.read(start)
        with _memory_errors(path, "Use a machine with more, or fewer images."):
            array = np.empty(math.prod(shape), np.uint8)
        _check_length(file.readinto(array.data), shape, path)
    return array.reshape(shape)


@contextmanager
def _memory_errors(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise DataError(f"{path}: it does not fit into memory. {remedy}") from error


def _read_gzip(raw: BufferedReader, size: int, path: Path, ndim: int) -> NDArray[np.uint8]:
    try:
        with _memory_errors(path, "Unpack the file first."), gzip.GzipFile(fileobj=raw) as file:
            shape = _shape(file.read(4 + 4 * ndim), path, ndim)
            claimed = math.prod(shape)
            if claimed > max(UNPACKED, UNPACKED_TIMES * size):
                raise DataError(
                    f"{path}: its header says {_text(shape)}, which is {claimed:,} bytes, but the "
                    f"gzip file has only {size:,}. If that is right, unpack the file first."
                )
            array = np.empty(claimed, np.uint8)
            filled = 0
            while chunk := file.read(min(CHUNK, claimed - filled)):
                array[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
                filled += len(chunk)
            _check_length(filled + len(file.read(1)), shape, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is a damaged gzip file: {reason(error)}. Download or create it again."
        ) from error
    return array.reshape(shape)


def _shape(start: bytes, path: Path, ndim: int) -> tuple[int, ...]:
    """Return the dimensions that a file's header (its first bytes) gives."""
    kind = "images" if ndim == 3 else "labels"
    expected = _magic(ndim)
    if start[:4] != expected:
        raise DataError(
            f"{path}: its first bytes are {start[:4].hex(' ') or 'missing'}, but an IDX file of "
            f"{kind} begins with {expected.hex(' ')}. Is it the right file?"
        )
    if len(start) < 4 + 4 * ndim:
        raise DataError(f"{path}: the file ends within its header. Download or create it again.")
    shape = tuple(int.from_bytes(start[at : at + 4], "big") for at in range(4, 4 + 4 * ndim, 4))
    if 0 in shape:
        raise DataError(
            f"{path}: its header says {_text(shape)}, so it is empty. Use a file with data."
        )
    return shape


def idx_header(shape: Sequence[int]) -> bytes:
    """Return the first bytes of an IDX file of unsigned bytes, up to its elements."""
    return _magic(len(shape)) + b"".join(n.to_bytes(4, "big") for n in shape)


def _magic(ndim: int) -> bytes:
    return bytes([0, 0, UNSIGNED_BYTE, ndim])


def _check_length(payload: int, shape: tuple[int, ...], path: Path) -> None:
    expected = math.prod(shape)
    if payload != expected:
        found = f"more than {expected:,}" if payload > expected else f"{payload:,}"
        raise DataError(
            f"{path}: its header says {_text(shape)}, which is {expected:,} bytes, but it holds "
            f"{found}. It was cut or changed: download or create it again."
        )


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
