"""The `.npz` files that NumPy's `savez` writes: written without it, and read strictly.

    member, member, …      a local header of zip, then an `.npy`: its header, then its elements
    central directory      an entry for each member
    end                    perhaps with the zip64 records of a large file

A zip file can say everything twice, in its members and in its directory, and leave room between
and around them. Here the members are read one after the other from the first byte, each believed
only as far as the file goes, and the directory must then name the same ones and nothing else: no
byte of the file is left over. So a member cannot lie over another, hide, or claim more memory than
the file has bytes. NumPy's own reader evaluates a member's header as Python, allocates what
that claims, and lets a dozen kinds of exceptions through. NumPy's `savez` takes the members as
keywords beside options of its own, and which names are options differs between releases.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
from collections.abc import Mapping
from io import BufferedReader
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_MEMBERS = 1000

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_ZIP64_END = 56 + 20
_IN_ZIP64 = 0xFFFFFFFF  # stands for a length that is in the extra field
_ZIP64 = struct.Struct("<2H2Q")

_NPY_START = b"\x93NUMPY\x01\x00"
_NPY_HEADER = re.compile(
    r"\{'descr': '([^']{1,20})', 'fortran_order': False, 'shape': \(([0-9, ]{0,100})\), \} *\n"
)
_TYPES = re.compile(r"[<>](?:f[48]|U[1-9][0-9]{0,7})")


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an open file, by name and in their order, none of them compressed.

    Raises
    ------
    ValueError
        If an array could only be pickled.
    OSError
        If the file cannot be written.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def read_npz(file: BufferedReader, size: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of an open file, by name: float32, float64 and text, nothing else.

    Parameters
    ----------
    file, size
        At its first byte, and how many it has.

    Raises
    ------
    ValueError
        If it is not what `savez` writes of such arrays, whole.
    OSError
        If it cannot be read.
    """
    arrays: dict[str, NDArray[Any]] = {}
    while (start := _read(file, 4)) == b"PK\3\4":
        name, length = _local_header(file, start, size)
        if name in arrays:
            raise ValueError(f"the name {name!r} stands twice in it")
        if len(arrays) == MAX_MEMBERS:
            raise ValueError(f"it has more than {MAX_MEMBERS} members")
        arrays[name] = _array(file, name, length)
    for name in arrays:
        start = _directory_entry(file, start, name)
    if start == b"PK\6\6":
        start = _read(file, _ZIP64_END)[-4:]
    end = _END.unpack(start + _read(file, _END.size - 4))
    if end[0] != b"PK\5\6" or end[4] != len(arrays) or end[7] or file.read(1):
        raise ValueError("its directory is not that of its members")
    return arrays


def _read(file: BufferedReader, length: int) -> bytes:
    found = file.read(length)
    if len(found) < length:
        raise ValueError("it ends early")
    return found


def _local_header(file: BufferedReader, start: bytes, size: int) -> tuple[str, int]:
    """Return a member's name, and how many bytes of the file are its content."""
    fields = _LOCAL.unpack(start + _read(file, _LOCAL.size - 4))
    _, _, flags, method, _, _, _, packed, length, name_length, extra_length = fields
    if method:
        raise ValueError("it is compressed")
    if flags:
        raise ValueError("a member is encrypted or of another kind")
    name = _read(file, name_length).decode("ascii")
    extra = _read(file, extra_length)
    if packed == length == _IN_ZIP64 and len(extra) == _ZIP64.size:
        kind, _, length, packed = _ZIP64.unpack(extra)
        if kind != 1:
            raise ValueError(f"{name!r} has no length")
    if packed != length or length > size - file.tell():
        raise ValueError(f"{name!r} claims more bytes than there are")
    if not name.endswith(".npy"):
        raise ValueError(f"{name!r} is no array")
    return name.removesuffix(".npy"), length


def _array(file: BufferedReader, name: str, length: int) -> NDArray[Any]:
    """Return the array that the next `length` bytes are."""
    start = _read(file, min(length, len(_NPY_START) + 2))
    header_length = int.from_bytes(start[-2:], "little")
    if start[:-2] != _NPY_START:
        raise ValueError(f"{name!r} is no array")
    header = _read(file, header_length).decode("latin-1")
    found = _NPY_HEADER.fullmatch(header)
    if not found or not _TYPES.fullmatch(found[1]):
        raise ValueError(f"{name!r} is described by {header.strip()!r}")
    dtype = np.dtype(found[1])
    shape = tuple(int(n) for n in found[2].split(",") if n.strip())
    if math.prod(shape) * dtype.itemsize != length - len(start) - header_length:
        raise ValueError(f"{name!r} is described by {header.strip()!r}, in {length} bytes")
    array = np.empty(shape, dtype)
    if file.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:
        raise ValueError("it ends early")
    return array


def _directory_entry(file: BufferedReader, start: bytes, name: str) -> bytes:
    """Pass over the directory's entry of a member, and return the four bytes behind it."""
    fields = _CENTRAL.unpack(start + _read(file, _CENTRAL.size - 4))
    name_length, extra_length, comment_length = fields[10:13]
    rest = _read(file, name_length + extra_length + comment_length)
    if fields[0] != b"PK\1\2" or rest[:name_length] != f"{name}.npy".encode():
        raise ValueError("its directory is not that of its members")
    return _read(file, 4)
