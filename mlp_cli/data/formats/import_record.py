"""What an import keeps in its folder: a record, and until its end the pictures that are decoded."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

from mlp_cli.data.idx import idx_header, read_idx
from mlp_cli.errors import ConfigError, visible
from mlp_cli.nn.buffers import Pixels
from mlp_cli.storage.files import atomic_write, mode_of, storage_errors, sync_file
from mlp_cli.storage.strict_json import from_json, record_faults, to_json

RECORD = "import.json"
PICTURES = "pictures.part"  # an IDX file whose last images may be missing
SAVE_EVERY = 1.0  # seconds
DEEPEST = 3  # a set, a class, a picture


@dataclass(frozen=True)
class Record:
    """What is imported into a folder, and how far it is.

    Attributes
    ----------
    source
        The file or folder, absolute.
    options
        What the user said about it.
    state
        A digest of the sizes and times of its files.
    pictures
        How many pictures are decoded and kept.
    files
        The SHA-256 of each file of the result; empty until the import is finished.
    """

    source: str
    options: dict[str, Any]
    state: str
    pictures: int = 0
    files: dict[str, str] = field(default_factory=dict)

    def is_same_import(self, other: Record) -> bool:
        """Whether both import the same content with the same options."""
        return (self.source, self.options, self.state) == (other.source, other.options, other.state)

    def write(self, folder: Path) -> None:
        """Write the record into its folder.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        atomic_write(folder / RECORD, f"{to_json(asdict(self), indent=2)}\n".encode())


def read_record(folder: Path) -> Record | None:
    """Return the record of a folder, None if it has none.

    Raises
    ------
    ConfigError
        If it is damaged, or no record of an import.
    StorageError
        If it cannot be read.
    """
    path = folder / RECORD
    with storage_errors("read", path):
        if mode_of(path) is None:
            return None
        content = path.read_bytes()
    try:
        found = from_json(content)
        faults = _faults(found)
    except ValueError as error:
        faults = [f"cannot be read: {error}"]
    if faults:
        raise ConfigError(
            f"{visible(str(path))} {faults[0]}, so it is no record of an import. Choose another "
            "folder."
        )
    return Record(**found)


def _faults(found: Any) -> list[str]:
    if not isinstance(found, dict):
        return ["is no JSON object"]
    known = {each.name for each in fields(Record)}
    return [*record_faults(found, Record), *(f"has {key}" for key in sorted({*found} - known))]


def state_of(source: Path) -> str:
    """Return a digest of the names, sizes and times of the files of a source.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    found = hashlib.sha256()
    with storage_errors("read", source):
        if stat.S_ISDIR(source.stat().st_mode):
            files: Sequence[Path] = sorted(_files(source, DEEPEST))
        else:
            files = [source]
        for file in files:
            seen = file.stat()
            name = os.fsencode(file.relative_to(source))
            found.update(b"%s\0%d\0%d\n" % (name, seen.st_size, seen.st_mtime_ns))
    return found.hexdigest()


def _files(folder: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_file():
                yield Path(entry)
            elif depth > 1 and entry.is_dir():
                yield from _files(Path(entry), depth - 1)


class KeptPictures:
    """Takes the decoded pictures into a file, so that an interrupted import can go on."""

    def __init__(self, folder: Path, record: Record) -> None:
        self._folder, self._record = folder, record
        self._path = folder / PICTURES
        self._file: BinaryIO | None = None

    def begin(self, shape: tuple[int, int, int]) -> int:
        """Open the file, and return how many pictures it holds already.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        header, done = idx_header(shape), self._record.pictures
        with storage_errors("write", self._path):
            if mode_of(self._path) is None:
                self._path.touch()
            file = self._path.open("r+b")
            kept = len(header) + done * shape[1] * shape[2]
            if file.read(len(header)) != header or file.seek(0, os.SEEK_END) < kept:
                kept, done = len(header), 0
                file.seek(0)
                file.write(header)
            file.truncate(kept)
            file.seek(kept)
        self._file, self._n, self._saved = file, done, time.monotonic()
        return done

    def add(self, image: Pixels) -> None:
        """Append an image. Once a second, the file and the record are forced to disk.

        Raises
        ------
        StorageError
            If they cannot be written.
        """
        assert self._file is not None
        with storage_errors("write", self._path):
            self._file.write(image.tobytes())
        self._n += 1
        if time.monotonic() - self._saved > SAVE_EVERY:
            self._save()

    def _save(self) -> None:
        assert self._file is not None
        with storage_errors("write", self._path):
            sync_file(self._file, self._path)
        replace(self._record, pictures=self._n).write(self._folder)
        self._saved = time.monotonic()

    def images(self) -> Pixels:
        """Return all images, mapped into memory.

        Raises
        ------
        StorageError
            If the file cannot be written or read.
        """
        self._save()
        self.close()
        return read_idx(self._path, ndim=3)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):  # what is not saved by now is decoded again
                self._file.close()
