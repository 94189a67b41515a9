"""The four published MNIST files: their names, sizes and digests, and how a copy is verified.

A file is MNIST's if the SHA-256 of its decoded bytes is the one below. Its source and its packing
do not matter: files in the data folder and files from a mirror pass the same check.
"""

from __future__ import annotations

import gzip
import hashlib
import stat
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from mlp_cli.errors import DataError, reason
from mlp_cli.storage.files import mode_of, storage_errors


class MnistFile(NamedTuple):
    """One published file: its name without `.gz`, its decoded size in bytes, and its SHA-256.

    `checksums` holds the CRC-32 of each `block` bytes of the decoded file, as 8 hexadecimal digits
    each. The last block may be shorter. They show whether a file is a damaged copy of this one.
    """

    name: str
    size: int
    sha256: str
    block: int = 1 << 20
    checksums: str = ""

    @property
    def largest(self) -> int:
        """The most bytes that a copy can have: poor gzip adds 5 bytes to each few thousand."""
        return self.size + self.size // 100 + 1000

    def checksum(self, at: int) -> int | None:
        """Return the CRC-32 of block `at` of the decoded file, None if it is not known."""
        digits = self.checksums[8 * at : 8 * at + 8]
        return int(digits, 16) if digits else None


TRAIN_IMAGES = MnistFile(
    "train-images-idx3-ubyte",
    47_040_016,
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    1 << 20,
    "2a4705124bfc007f00aba5d8ce8c0f8614c49aa14a15b4241f94bfef38e994f86094270d71db56ed8b7a9530"
    "87d34a1968439c2a55c6b48229abc0327b41ca3fa2f35a95f06e681ff7d150d8a4670a4e41acd7cc4275def0"
    "c28a1ee101be75615f632f92f86a57427aa821ed12d1b40999aa8efd4c12c4a1c01a90b9aa6edf8c8eaacd0d"
    "193ccb96ea10bdcef3a76effd9150a4b002b3c979acac7f0f0a70664d70851ead8072bced95b304190e14d0a"
    "a0a37927",
)
TRAIN_LABELS = MnistFile(
    "train-labels-idx1-ubyte",
    60_008,
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    1 << 12,
    "4f349a0f69e28b8129ee031492d86c9eb513059222bd3f7da7bb57f1cd3f30f5267827c8c00df2d10c118c44"
    "72e09da2b3e73bc03ad20155a6fe1b52",
)
TEST_IMAGES = MnistFile(
    "t10k-images-idx3-ubyte",
    7_840_016,
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    1 << 20,
    "761d0f062883ed136dae32c67a649814c2c65d8b714513a8564679f5630932d4",
)
TEST_LABELS = MnistFile(
    "t10k-labels-idx1-ubyte",
    10_008,
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    1 << 12,
    "68de2ec557e61f6a6df359ef",
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
        raise DataError(f"it is a damaged gzip file: {reason(error)}") from error
    if size < file.size:
        raise CutShortError(f"it ends after {size:,} of {file.size:,} bytes")
    if size > file.size:
        raise DataError(f"it is longer than {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise DataError(f"its SHA-256 is {digest.hexdigest()[:8]}…, not {file.sha256[:8]}…")


def names_of(name: str) -> list[str]:
    """Return the names that a file of a data set may have; raw before gzipped.

    Some sites spell the name train-images.idx3-ubyte.
    """
    spellings = dict.fromkeys((name, name.replace("-idx", ".idx")))
    return [f"{spelling}{suffix}" for suffix in ("", ".gz") for spelling in spellings]


def files_named(folder: Path, name: str) -> list[Path]:
    """Return the files in `folder` that have one of the names of a file; raw before gzipped.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    paths = [folder / each for each in names_of(name)]
    return [path for path in paths if stat.S_ISREG(mode_of(path) or 0)]


def mnist_folder(data_dir: Path) -> Path:
    """Return the folder of MNIST's files: `mnist` in `data_dir`, or `data_dir` if they lie there.

    `data_dir` itself is the folder if it holds a file with a name of MNIST's, but nothing that is
    called `mnist`.

    Raises
    ------
    StorageError
        If `data_dir` cannot be read.
    """
    inside = data_dir / "mnist"
    with storage_errors("read the folder", data_dir):
        if not inside.exists() and any(files_named(data_dir, file.name) for file in MNIST_FILES):
            return data_dir
    return inside


def find(folder: Path, file: MnistFile) -> Path | None:
    """Return the path of a verified copy of `file` in `folder`, or None; raw before gzipped.

    Raises
    ------
    StorageError
        If a copy cannot be read.
    """
    return next((path for path in _copies(folder, file) if _fault(path, file) is None), None)


def rejected(folder: Path, file: MnistFile) -> dict[Path, str]:
    """Return the files in `folder` that have a name of `file` but fail verification, and why.

    The reasons continue a sentence, as in "it is longer than 60,008 bytes".

    Raises
    ------
    StorageError
        If a file cannot be read.
    """
    faults = {path: _fault(path, file) for path in _copies(folder, file)}
    return {path: fault for path, fault in faults.items() if fault is not None}


def _copies(folder: Path, file: MnistFile) -> list[Path]:
    links = [folder / name for name in names_of(file.name)]
    with storage_errors("read the folder", folder):
        return [*files_named(folder, file.name), *filter(_is_broken_link, links)]


def _is_broken_link(path: Path) -> bool:
    return path.is_symlink() and mode_of(path) is None


def _fault(path: Path, file: MnistFile) -> str | None:
    """Return why a file is not MNIST's, None if it is."""
    with storage_errors("read", path):
        if _is_broken_link(path):
            return f"it is a link to {path.readlink()}, which is not there"
    with storage_errors("read", path), path.open("rb") as stream:
        size = path.stat().st_size
        if size > file.largest:
            return f"it has {size:,} bytes, more than {file.size:,}"
        try:
            for _ in verified(stream, file):
                pass
        except DataError as error:
            return str(error)
    return None
