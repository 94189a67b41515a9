"""Which files under MNIST's names may be replaced: damaged copies of MNIST's, and no others.

Everything else is taken for the user's. Another data set may well lie under MNIST's names: several
are published under them.
"""

from __future__ import annotations

import os
import shlex
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from mlp_cli.data.idx import GZIP_MAGIC, read_idx
from mlp_cli.data.mnist import MnistFile, files_named, rejected
from mlp_cli.errors import DataError, StorageError
from mlp_cli.storage.files import mode_of, storage_errors

PIECE = 64  # bytes of a gzip file decoded at once: at damage, what is left of a piece is lost
CLASSES = 10

Own = dict[Path, tuple[MnistFile, str]]  # the user's files: what each is not, and why


def refuse_to_replace(folder: Path, files: Sequence[MnistFile]) -> None:
    """Check that no file in `folder` under the names of `files` is the user's.

    Raises
    ------
    DataError
        If a file is neither MNIST's nor a damaged copy of it.
    StorageError
        If a file cannot be read.
    """
    own = _own_files(folder, files)
    if not own:
        return
    remedy = "Move them away to use MNIST."
    if any(_is_readable(path, file) for path, (file, _) in own.items()):
        option = shlex.quote(f"data.path={folder}")
        remedy = f"To train on them, use --set {option}. To use MNIST, move them away."
    raise DataError(
        f"{folder} has files under MNIST's names that are not MNIST's. They are kept, and MNIST "
        f"is not fetched over them:\n{_lines(own)}{remedy}"
    )


def unused_files(folder: Path, files: Sequence[MnistFile]) -> str:
    """Return a message about the user's files that lie beside verified ones; "" if there are none.

    Raises
    ------
    StorageError
        If a file cannot be read.
    """
    with storage_errors("read the folder", folder):
        copies = {file: files_named(folder, file.name) for file in files}
        beside = [
            file
            for file, paths in copies.items()
            if len(paths) > 1 and not _are_packed(paths[1:], paths[0], file)
        ]
    own = _own_files(folder, beside)
    if not own:
        return ""
    return (
        f"These files are not MNIST's, and are not used:\n{_lines(own)}"
        "To train on them, move them into a folder of their own and use --set data.path=FOLDER."
    )


def _are_packed(paths: Sequence[Path], raw: Path, file: MnistFile) -> bool:
    """Whether files are gzipped copies of `raw`, by the checksums at their ends.

    To unpack them would take half a second at each start.
    """
    if raw.stat().st_size != file.size:
        return False
    expected = struct.pack("<II", zlib.crc32(raw.read_bytes()), file.size)
    return all(_last_bytes(path, len(expected)) == expected for path in paths)


def _last_bytes(path: Path, n: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(stream.seek(0, os.SEEK_END) - n, 0))
        return stream.read()


def _own_files(folder: Path, files: Sequence[MnistFile]) -> Own:
    return {
        path: (file, fault)
        for file in files
        for path, fault in rejected(folder, file).items()
        if not is_damaged_copy(path, file)
    }


def _lines(own: Own) -> str:
    return "".join(f"  {path}: {fault}\n" for path, (_, fault) in own.items())


def is_damaged_copy(path: Path, file: MnistFile) -> bool:
    """Whether a file that failed verification has no content but that of `file`.

    It is empty or all zeros, or its full blocks are those of `file`. Blocks of zeros count as lost.
    One more block may differ, unless a user may have changed it: the header of a shorter file, or
    labels that are still labels. Labels with a single wrong bit are damaged, however.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    with storage_errors("read", path):
        if mode_of(path) is None or path.stat().st_size > file.largest:
            return False
        packed = path.read_bytes()
    content = _decode(packed, file.size + 1)
    if not content.strip(b"\0"):
        return not packed or bool(content)
    if len(content) > file.size:
        return False
    blocks = [content[at : at + file.block] for at in range(0, len(content), file.block)]
    if len(content) < file.size and len(blocks[-1]) < file.block:
        del blocks[-1]
    same = [zlib.crc32(block) == file.checksum(at) for at, block in enumerate(blocks)]
    other = [at for at, block in enumerate(blocks) if not same[at] and block.strip(b"\0")]
    if len(other) > 1 or not any(same):
        return False
    return not other or not _may_be_changed(content, other[0], file)


def _may_be_changed(content: bytes, at: int, file: MnistFile) -> bool:
    """Whether a user may have changed block `at` of a copy of `file` on purpose."""
    block = content[at * file.block : (at + 1) * file.block]
    if at == 0 and len(content) < file.size:
        return True  # perhaps a new header in front of fewer images
    if "labels" not in file.name:
        return False
    header = b"\0\0\x08\1" + (file.size - 8).to_bytes(4, "big")
    labels = block.removeprefix(header) if at == 0 else block  # a wrong header is no set of labels
    return max(labels) < CLASSES and not _is_one_bit_off(block, file.checksum(at))


def _decode(packed: bytes, limit: int) -> bytes:
    """Return what can be decoded of a raw or gzipped file, at most `limit` bytes."""
    if not packed.startswith(GZIP_MAGIC):
        return packed[:limit]
    decoder, content = zlib.decompressobj(wbits=31), bytearray()
    try:
        for at in range(0, len(packed), PIECE):
            content += decoder.decompress(packed[at : at + PIECE], limit - len(content))
            if len(content) == limit:  # a further limit of 0 would mean none
                break
    except zlib.error:
        pass
    return bytes(content)


def _is_one_bit_off(block: bytes, checksum: int | None) -> bool:
    changed = bytearray(block)
    for at in range(8 * len(changed)):
        changed[at // 8] ^= 1 << at % 8
        if zlib.crc32(changed) == checksum:
            return True
        changed[at // 8] ^= 1 << at % 8
    return False


def _is_readable(path: Path, file: MnistFile) -> bool:
    """Whether a file is a valid IDX file of the kind of `file`."""
    try:
        read_idx(path, ndim=1 if "labels" in file.name else 3)
    except (DataError, StorageError):
        return False
    return True
