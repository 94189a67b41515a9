"""Checkpoints built byte by byte, with content that the program never writes."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlp_cli.storage.checkpoint import _digest


def flipped(content: bytes, bits: Iterable[int]) -> bytes:
    """Return the content with these bits flipped."""
    changed = bytearray(content)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def npy(array: np.ndarray) -> bytes:
    """Return the bytes of an array's `.npy`."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def raw_npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """Return the bytes of an `.npy` with any text as its header."""
    text = f"{header}\n".encode()
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + content


def described(descr: str, shape: object, order: object = False) -> str:
    """Return the text of an `.npy`'s header."""
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def zipped(
    members: list[tuple[str, bytes]],
    *,
    flags: int = 0,
    method: int = zipfile.ZIP_STORED,
    length: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Return a zip file as `savez` writes it; every local header claims `length`, if given."""
    body, directory = bytearray(before), bytearray()
    for name, content in members:
        at, claimed = len(body), len(content) if length is None else length
        crc, encoded = zlib.crc32(content), name.encode()
        body += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 45, flags, method, 0, 33, crc, *[0xFFFFFFFF] * 2,
            len(encoded), 20,
        )  # fmt: skip
        body += encoded + struct.pack("<2H2Q", 1, 16, claimed, claimed) + content
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 45, 45, flags, method, 0, 33, crc, len(content),
            len(content), len(encoded), 0, 0, 0, 0, 0, at,
        ) + encoded  # fmt: skip
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, *[len(members) & 0xFFFF] * 2, len(directory), len(body), 0
    )
    return bytes(body + directory + end + after)


def sealed(
    arrays: Mapping[str, np.ndarray], header: object, raw: Mapping[str, bytes] | None = None
) -> bytes:
    """Return a checkpoint with a correct digest; if the header is a text, it is used as it is.

    `raw` holds the bytes of `.npy` members that are added, or that replace those of the arrays.
    """
    text = header if isinstance(header, str) else json.dumps(header, ensure_ascii=False)
    members = {name: npy(array) for name, array in arrays.items()}
    members |= {"header": npy(np.array(text)), "digest": npy(np.array(_digest(dict(arrays), text)))}
    members |= raw or {}
    return zipped([(f"{name}.npy", content) for name, content in members.items()])


def opened(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return a checkpoint's arrays and header, as NumPy reads them."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays.pop("header")))
    del arrays["digest"]
    return arrays, header
