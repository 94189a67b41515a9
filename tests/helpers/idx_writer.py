"""IDX files of any type, written byte by byte."""

from __future__ import annotations

import struct

import numpy as np

TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_of(array: np.ndarray) -> bytes:
    """Return the bytes of an IDX file with an array of one of the six types."""
    kind = TYPES[array.dtype.str[1:]]
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()
