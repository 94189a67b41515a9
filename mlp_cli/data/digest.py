"""The digest of an array, by which data are known again wherever they lie and however packed.

It is the SHA-256 of the raw IDX file with this array, as `sha256sum` prints it. Of a larger array
than 64 MiB only a sample is read, so that a start stays quick: the file's header, and 256 blocks of
64 KiB, spread evenly from the first bytes to the last. A change that misses all of these blocks
keeps the digest.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from mlp_cli.data.idx import idx_header
from mlp_cli.nn.buffers import Pixels

WHOLE = 1 << 26  # bytes; a larger array is sampled
BLOCKS, BLOCK = 256, 1 << 16  # number, and bytes of each


def digest(array: Pixels, shape: Sequence[int]) -> str:
    """Return the digest of an array that its IDX file holds in this shape, in hexadecimal.

    Parameters
    ----------
    array
        Contiguous, of any shape with as many elements.
    shape
        The dimensions in the header of the file, as in (60000, 28, 28).
    """
    content = array.reshape(-1)
    found = hashlib.sha256(idx_header(shape))
    if content.size <= WHOLE:
        found.update(content.data)
        return found.hexdigest()
    starts = [i * (content.size - BLOCK) // (BLOCKS - 1) for i in range(BLOCKS)]
    _prefetch(content, starts)
    for start in starts:
        found.update(content[start : start + BLOCK].data)
    return found.hexdigest()


def _prefetch(content: Pixels, starts: Sequence[int]) -> None:
    """Let the system read all blocks of a mapped file at once.

    Otherwise it reads much around each of them, which takes a second if none of a file of 1 GB is
    in memory.
    """
    owner = content.base
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if not isinstance(owner, mmap.mmap):  # the file was gzipped
        return
    if not hasattr(mmap, "MADV_WILLNEED"):  # Windows does not have it
        return
    header = len(owner) - content.size
    with suppress(OSError):  # it is only advice
        for start in starts:
            first = (header + start) // mmap.PAGESIZE * mmap.PAGESIZE
            owner.madvise(mmap.MADV_WILLNEED, first, BLOCK + mmap.PAGESIZE)
