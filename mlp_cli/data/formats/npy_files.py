"""Arrays from `.npy` files and from the members of `.npz` files, each with strict limits.

NumPy parses the headers, and `zipfile` unpacks. No array of Python objects is loaded. No array may
claim more than the file holds, or unpack to more than an IDX file may.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.idx import CHUNK, most_unpacked
from mlp_cli.errors import DataError, MlpError, reason, visible
from mlp_cli.storage.files import storage_errors

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\3\4"
MOST_MEMBERS = 1000
MOST_DIRECTORY = 1 << 20  # bytes
_END = struct.Struct("<4s4H2LH")  # of a zip file; PKWARE's APPNOTE, 4.3.16
_ZIP64_LOCATOR = 20
_LOCAL_HEADER = 30


class _Header(NamedTuple):
    """The type and shape of an array, and where its elements begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    start: int


def map_npy(path: Path) -> NDArray[Any]:
    """Return the array of an `.npy` file, mapped into memory read-only.

    Raises
    ------
    DataError
        If the file is damaged, or if the array is empty or not of numbers.
    StorageError
        If it cannot be read.
    """
    with storage_errors("read", path), path.open("rb") as file, _as_data_errors(str(path)):
        found = _header(file, str(path), os.fstat(file.fileno()).st_size)
        return np.memmap(file, found.dtype, "r", found.start, found.shape, found.order).view(
            np.ndarray
        )


class NpzFile:
    """An `.npz` file, of which the arrays are read when they are asked for.

    Attributes
    ----------
    path
        The file.
    names
        The names of its arrays.
    """

    def __init__(self, path: Path) -> None:
        """Read and check the directory of the file.

        Raises
        ------
        DataError
            If the file is damaged, or if its members could exhaust the memory or hide others.
        StorageError
            If it cannot be read.
        """
        self.path = path
        with self._open() as archive:
            self._members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
        self.names = list(self._members)

    @contextmanager
    def _open(self) -> Iterator[zipfile.ZipFile]:
        with (
            storage_errors("read", self.path),
            self.path.open("rb") as file,
            _as_data_errors(str(self.path)),
        ):
            size = os.fstat(file.fileno()).st_size
            _check_end(file, size)
            with zipfile.ZipFile(file) as archive:
                _check_members(archive.infolist(), size)
                yield archive

    def read(self, name: str) -> NDArray[Any]:
        """Return the array of this name.

        Raises
        ------
        DataError
            If it is damaged, empty or not of numbers, or does not fit into memory.
        StorageError
            If the file cannot be read.
        """
        shown, member = visible(f"{self.path}: {name}"), self._members[name]
        with self._open() as archive, archive.open(member) as file, _as_data_errors(shown):
            found = _header(file, shown, member.file_size)
            array = np.empty(math.prod(found.shape), found.dtype)
            elements, filled = array.view(np.uint8), 0
            while chunk := file.read(CHUNK):  # at the end, zipfile checks the member's CRC
                elements[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
                filled += len(chunk)
            if filled != array.nbytes:
                raise ValueError("it ends early")
        return array.reshape(found.shape, order=found.order)


def _header(file: IO[bytes], name: str, size: int) -> _Header:
    """Read the header of an `.npy` file of this size, and check it."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):  # others are for headers that are longer than one of plain numbers
        raise ValueError(f"it has version {version[0]}.{version[1]} of the format, and not 1.0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd text, which is refused or harmless
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    start = file.tell()
    if dtype.kind not in "buif":
        what = "Python objects, which are never loaded" if dtype.hasobject else f"type {dtype}"
        raise DataError(
            f"{name}: an array of {what}. Images are numbers, and so are classes: 0, 1, …"
        )
    if not shape or min(shape) < 1:
        raise DataError(f"{name}: an array of shape {shape} is empty. Use a file with data.")
    held = size - start
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != held:
        raise DataError(
            f"{name}: its header says {'×'.join(map(str, shape))} of type {dtype}, which is "
            f"{claimed:,} bytes, but it holds {held:,}. It was cut or changed: save or download it "
            "again."
        )
    return _Header(dtype, shape, "F" if fortran else "C", start)


@contextmanager
def _as_data_errors(name: str) -> Iterator[None]:
    """Turn what NumPy and zipfile raise about a damaged file, almost anything, into DataErrors."""
    try:
        yield
    except (MlpError, OSError):
        raise
    except MemoryError as error:
        raise DataError(f"{name}: it does not fit into memory. Save fewer images.") from error
    except Exception as error:
        raise DataError(
            f"{name}: it cannot be read: {visible(reason(error)[:200])}. Save or download it again."
        ) from error


def _check_end(file: IO[bytes], size: int) -> None:
    """Check the end of a zip file before zipfile reads the directory that it names.

    What NumPy writes ends with a record of 22 bytes, and in a file of more than 2 GiB with others,
    which may name a directory of any length.
    """
    if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC or size < _END.size:
        raise ValueError("it is not an .npz file, which begins with PK")
    file.seek(max(0, size - _END.size - _ZIP64_LOCATOR))
    tail = file.read()
    mark, _, _, _, _, directory, _, comment = _END.unpack(tail[-_END.size :])
    if mark != b"PK\5\6" or comment:
        raise ValueError("it ends early")
    if tail.startswith(b"PK\6\7"):
        raise ValueError("it has more than 2 GiB, for which .npy files are the better choice")
    if directory > MOST_DIRECTORY:
        raise ValueError(f"the list of its arrays has {directory:,} bytes")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse a directory of a zip file of which the members could be harmful."""
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"it has more than {MOST_MEMBERS} arrays")
    names = Counter(member.filename for member in members)
    unpacked, end = 0, 0
    for member in sorted(members, key=lambda member: member.header_offset):
        name = member.filename
        if "/" in name or "\\" in name or ".." in name or not name.endswith(".npy"):
            raise ValueError(f"{name!r} is not the name of an array, as in x_train.npy")
        if names[name] > 1:
            raise ValueError(f"it holds {name!r} twice")
        stored = member.compress_type == zipfile.ZIP_STORED
        if not stored and member.compress_type != zipfile.ZIP_DEFLATED:
            raise ValueError(f"{name!r} is compressed in a way that NumPy does not use")
        if member.header_offset < end:
            raise ValueError(f"{name!r} overlaps another array")
        end = member.header_offset + _LOCAL_HEADER + member.compress_size
        if end > size or (stored and member.compress_size != member.file_size):
            raise ValueError(f"{name!r} claims more bytes than the file has")
        unpacked += member.file_size
    if unpacked > most_unpacked(size):
        raise ValueError(
            f"it has {size:,} bytes, but its arrays claim to be {unpacked:,} bytes. If that is "
            "right, save it without compression"
        )
