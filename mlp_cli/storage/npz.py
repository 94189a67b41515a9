"""`.npz` files as NumPy's `savez` writes them: a writer without `savez`, and a strict reader.

    member, member, …      a zip local header, then an `.npy`: its header, then its elements
    central directory      an entry for each member
    end                    in a large file, with zip64 records

A zip file gives each name and length twice, in the member and in the directory, and may have unused
bytes between and around them. This reader reads the members in order from the first byte. No length
is trusted beyond the end of the file. The directory must then name the same members in the same
order, and no byte of the file may be left over. So members cannot overlap or be hidden, and none
can claim more memory than the file has bytes.

Why not NumPy's own functions: its reader evaluates a member's header as a Python literal, allocates
the memory that the header claims, and raises a dozen kinds of exceptions. Its writer `savez` takes
the arrays as keywords beside its own options, and the names of those options differ between
releases.
"""

from __future__ import annotations

import errno
import math
import os
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
_LENGTHS_AFTER = 8  # a flag of a member
_IN_ZIP64 = 0xFFFFFFFF  # in place of a length that the extra field holds
_ZIP64 = struct.Struct("<2H2Q")

_NPY_START = b"\x93NUMPY\x01\x00"
_NPY_HEADER = re.compile(
    r"\{'descr': '([^']{1,20})', 'fortran_order': False, 'shape': \(([0-9, ]{0,100})\), \} *\n"
)
_TYPES = re.compile(r"[<>](?:f[48]|U[1-9][0-9]{0,7})|\|b1")


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an open file under their names, in their order, uncompressed.

    Raises
    ------
    ValueError
        If an array holds Python objects, which could only be pickled.
    OSError
        If the file cannot be written.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
    # If the file tells no position, zipfile gives the lengths only after the members.
    if any(member.flag_bits & _LENGTHS_AFTER for member in archive.infolist()):
        raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))


def read_npz(file: BufferedReader, size: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of an open file by name. Only float32, float64 and text are allowed.

    Parameters
    ----------
    file
        The file, at its first byte.
    size
        The number of its bytes.

    Raises
    ------
    ValueError
        If the file is not exactly what `savez` writes for such arrays. The message is a reason that
        continues a sentence, as in "it ends early".
    OSError
        If the file cannot be read.
    """
    if not file.peek(2).startswith(b"PK"):
        raise ValueError("it is not an .npz file" if size else "it is empty")
    arrays: dict[str, NDArray[Any]] = {}
    while (start := _read(file, 4)) == b"PK\3\4":
        name, length = _local_header(file, start, size)
        if name in arrays:
            raise ValueError(f"it holds the name {name!r} twice")
        if len(arrays) == MAX_MEMBERS:
            raise ValueError(f"it has more than {MAX_MEMBERS} members")
        arrays[name] = _array(file, name, length)
    for name in arrays:
        start = _directory_entry(file, start, name)
    if start == b"PK\6\6":
        start = _read(file, _ZIP64_END)[-4:]
    end = _END.unpack(start + _read(file, _END.size - 4))
    if end[0] != b"PK\5\6" or end[4] != len(arrays) or end[7] or file.read(1):
        raise ValueError("its directory does not match its members")
    return arrays


def _read(file: BufferedReader, length: int) -> bytes:
    found = file.read(length)
    if len(found) < length:
        raise ValueError("it ends early")
    return found


def _local_header(file: BufferedReader, start: bytes, size: int) -> tuple[str, int]:
    """Read a local header; return the member's name and the number of bytes of its content."""
    fields = _LOCAL.unpack(start + _read(file, _LOCAL.size - 4))
    _, _, flags, method, _, _, _, packed, length, name_length, extra_length = fields
    if method:
        raise ValueError("it is compressed")
    if flags:
        raise ValueError("a member is encrypted or has other flags")
    name = _read(file, name_length).decode("ascii")
    extra = _read(file, extra_length)
    if packed == length == _IN_ZIP64 and len(extra) == _ZIP64.size:
        kind, _, length, packed = _ZIP64.unpack(extra)
        if kind != 1:
            raise ValueError(f"{name!r} does not give its length")
    if packed != length or length > size - file.tell():
        raise ValueError(f"{name!r} claims more bytes than the file has")
    if not name.endswith(".npy"):
        raise ValueError(f"{name!r} is not an array")
    return name.removesuffix(".npy"), length


def _array(file: BufferedReader, name: str, length: int) -> NDArray[Any]:
    """Read the next `length` bytes as an `.npy`, and return its array."""
    start = _read(file, min(length, len(_NPY_START) + 2))
    header_length = int.from_bytes(start[-2:], "little")
    if start[:-2] != _NPY_START:
        raise ValueError(f"{name!r} is not an array")
    header = _read(file, header_length).decode("latin-1")
    found = _NPY_HEADER.fullmatch(header)
    if not found or not _TYPES.fullmatch(found[1]):
        raise ValueError(f"{name!r} has the unsupported header {header.strip()!r}")
    dtype = np.dtype(found[1])
    shape = tuple(int(n) for n in found[2].split(",") if n.strip())
    if math.prod(shape) * dtype.itemsize != length - len(start) - header_length:
        raise ValueError(f"{name!r} has {length} bytes and the header {header.strip()!r}")
    array = np.empty(shape, dtype)
    if file.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:
        raise ValueError("it ends early")
    return array


def _directory_entry(file: BufferedReader, start: bytes, name: str) -> bytes:
    """Check the directory's entry of one member; return the four bytes after the entry."""
    fields = _CENTRAL.unpack(start + _read(file, _CENTRAL.size - 4))
    name_length, extra_length, comment_length = fields[10:13]
    rest = _read(file, name_length + extra_length + comment_length)
    if fields[0] != b"PK\1\2" or rest[:name_length] != f"{name}.npy".encode():
        raise ValueError("its directory does not match its members")
    return _read(file, 4)
