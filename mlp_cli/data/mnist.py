"""The four published MNIST files: their names, sizes and digests, and how a copy is verified.

A file is MNIST's if the SHA-256 of its decoded bytes is the one below. Its source and its packing
do not matter: files in the data folder and files from a mirror pass the same check.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from mlp_cli.errors import DataError
from mlp_cli.storage.files import storage_errors


class MnistFile(NamedTuple):
    """One published file: its name without `.gz`, its decoded size in bytes, and its SHA-256."""

    name: str
    size: int
    sha256: str

    @property
    def largest(self) -> int:
        """The most bytes that a copy can have: poor gzip adds 5 bytes to each few thousand."""
        return self.size + self.size // 100 + 1000


TRAIN_IMAGES = MnistFile(
    "train-images-idx3-ubyte",
    47_040_016,
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
)
TRAIN_LABELS = MnistFile(
    "train-labels-idx1-ubyte",
    60_008,
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
)
TEST_IMAGES = MnistFile(
    "t10k-images-idx3-ubyte",
    7_840_016,
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
)
TEST_LABELS = MnistFile(
    "t10k-labels-idx1-ubyte",
    10_008,
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)

MNIST_FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

CHUNK = 1 << 20  # bytes decoded at once
IDX_START, GZIP_START = b"\0", b"\x1f"  # one byte each: `peek` guarantees no more


class CutShortError(DataError):
    """The data end early."""


def verified(stream: BufferedReader, file: MnistFile, layers: int = 1) -> Iterator[bytes]:
    """Yield the decoded bytes of a stream that should hold `file`, and verify them at the end.

    The bytes are MNIST's file only if the iteration ends without an exception. At most one byte
    more than the file's size is yielded, whatever the stream holds.

    Parameters
    ----------
    stream
        Read from its current position; raw or gzipped.
    file
        What the stream should hold.
    layers
        How many times the stream may be gzipped. `read_idx` unpacks one layer.

    Raises
    ------
    CutShortError
        If the stream ends early.
    DataError
        If the stream holds anything else. The messages continue a sentence, as in "it is longer
        than 60,008 bytes".
    """
    digest, size = hashlib.sha256(), 0
    content: BufferedReader | gzip.GzipFile = stream
    try:
        for _ in range(layers):
            if content.peek(1)[:1] == GZIP_START:
                content = gzip.GzipFile(fileobj=content, mode="rb")
        start = content.peek(1)[:16]
        if start and start[:1] != IDX_START:
            raise DataError(f"it is not an IDX file: it begins with {start!r}")
        while chunk := content.read(min(CHUNK, file.size + 1 - size)):
            size += len(chunk)
            digest.update(chunk)
            yield chunk
    except EOFError as error:
        raise CutShortError("its gzip file ends early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"it is a damaged gzip file: {error}") from error
    if size < file.size:
        raise CutShortError(f"it ends after {size:,} of {file.size:,} bytes")
    if size > file.size:
        raise DataError(f"it is longer than {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise DataError(f"its SHA-256 is {digest.hexdigest()[:8]}…, not {file.sha256[:8]}…")


def find(folder: Path, file: MnistFile) -> Path | None:
    """Return the path of a verified copy of `file` in `folder`, or None; raw before gzipped.

    Raises
    ------
    StorageError
        If a copy cannot be read.
    """
    return next((path for path in _copies(folder, file) if _verifies(path, file)), None)


def damaged(folder: Path, file: MnistFile) -> list[Path]:
    """Return the paths of the copies of `file` in `folder` that fail verification.

    Raises
    ------
    StorageError
        If a copy cannot be read.
    """
    return [path for path in _copies(folder, file) if not _verifies(path, file)]


def _copies(folder: Path, file: MnistFile) -> list[Path]:
    # Some sites spell the name train-images.idx3-ubyte.
    names = dict.fromkeys((file.name, file.name.replace("-idx", ".idx")))
    paths = [folder / f"{name}{suffix}" for suffix in ("", ".gz") for name in names]
    with storage_errors("read the folder", folder):
        return [path for path in paths if path.is_file()]


def _verifies(path: Path, file: MnistFile) -> bool:
    with storage_errors("read", path), path.open("rb") as stream:
        if path.stat().st_size > file.largest:
            return False
        try:
            for _ in verified(stream, file):
                pass
        except DataError:
            return False
    return True
