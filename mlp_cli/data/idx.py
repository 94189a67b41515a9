"""IDX files, raw or gzipped: the format of MNIST's files.

Two zero bytes, a type (0x08: unsigned bytes), the number of dimensions; each dimension as four
bytes, most significant first; then the elements, the last dimension fastest. Nothing that a header
claims is believed before the file has been seen to hold it: a raw file takes no memory, and a
gzipped one at most a hundred times its size, or 64 MiB.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlp_cli.errors import DataError
from mlp_cli.storage.files import storage_errors

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"
PIECE = 1 << 20  # bytes decoded at once

# Bytes that a gzip file may unpack to, the larger of both. Images pack to a fifth or a twentieth;
# zeros, and so a file that is meant to exhaust the memory, to a thousandth.
UNPACKED, UNPACKED_TIMES = 1 << 26, 100


def read_idx(path: Path, *, ndim: int) -> NDArray[np.uint8]:
    """Return the array of an IDX file of bytes; a raw file is mapped read-only, not read.

    Parameters
    ----------
    path
        Raw or gzipped, whatever its name.
    ndim
        The dimensions it must have: 3 for images, 1 for labels.

    Raises
    ------
    DataError
        If it is no such file, is empty, or its length is not what its header says.
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
        return np.memmap(file, np.uint8, "r", len(start), shape).view(np.ndarray)


def _read_gzip(raw: BufferedReader, size: int, path: Path, ndim: int) -> NDArray[np.uint8]:
    try:
        with gzip.GzipFile(fileobj=raw) as file:
            shape = _shape(file.read(4 + 4 * ndim), path, ndim)
            claimed = math.prod(shape)
            if claimed > max(UNPACKED, UNPACKED_TIMES * size):
                raise DataError(
                    f"{path}: its header says {_text(shape)}, {claimed:,} bytes, in a gzip file of "
                    f"{size:,}. If that is right, unpack it first."
                )
            array = np.empty(claimed, np.uint8)
            filled = 0
            while piece := file.read(min(PIECE, claimed - filled)):
                array[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
                filled += len(piece)
            _check_length(filled + len(file.read(1)), shape, path)
    except MemoryError as error:
        raise DataError(f"{path}: it does not fit into memory. Unpack it first.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is a damaged gzip file: {error}. Fetch or make it again."
        ) from error
    return array.reshape(shape)


def _shape(start: bytes, path: Path, ndim: int) -> tuple[int, ...]:
    """Return the dimensions that a file's first bytes state."""
    kind = "images" if ndim == 3 else "labels"
    expected = bytes([0, 0, UNSIGNED_BYTE, ndim])
    if start[:4] != expected:
        raise DataError(
            f"{path}: its first bytes are {start[:4].hex(' ') or 'missing'}, where an IDX file of "
            f"{kind} begins with {expected.hex(' ')}. Is it the right file?"
        )
    if len(start) < 4 + 4 * ndim:
        raise DataError(f"{path}: the file ends within its header. Fetch or make it again.")
    shape = tuple(int.from_bytes(start[at : at + 4], "big") for at in range(4, 4 + 4 * ndim, 4))
    if 0 in shape:
        raise DataError(f"{path}: its header says {_text(shape)}, so it is empty. Give data.")
    return shape


def _check_length(payload: int, shape: tuple[int, ...], path: Path) -> None:
    expected = math.prod(shape)
    if payload != expected:
        found = f"more than {expected:,}" if payload > expected else f"{payload:,}"
        raise DataError(
            f"{path}: its header says {_text(shape)}, {expected:,} bytes, and it holds {found}. "
            "It was cut or changed: fetch or make it again."
        )


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
