"""Write a source as a folder for `data.path`: IDX files under MNIST's names, and class names.

The folder holds a record of the import, too. While pictures are decoded, they are kept in a file of
their own, so that the same import goes on after an interruption. Each file of the result is written
whole or not at all, and read back. At the end, the record gets the digests of these files.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from mlp_cli.data import mnist
from mlp_cli.data.formats.collection import NAMES_FILE, Answers, Collection, Progress
from mlp_cli.data.formats.import_record import (
    PICTURES,
    RECORD,
    KeptPictures,
    Record,
    read_record,
    state_of,
)
from mlp_cli.data.formats.recognise import read_collection
from mlp_cli.data.formats.set_aside import with_test_set
from mlp_cli.data.idx import idx_header, read_idx
from mlp_cli.errors import ConfigError, DataError, MlpError, StorageError, visible
from mlp_cli.nn.buffers import Pixels
from mlp_cli.storage.files import atomic_write, atomic_writer, mode_of, storage_errors
from mlp_cli.storage.folders import make_folder
from mlp_cli.storage.locks import LOCK_FILES, opened_lockable, try_lock
from mlp_cli.storage.strict_json import from_json, to_json

FILES = {
    "train": (mnist.TRAIN_IMAGES.name, mnist.TRAIN_LABELS.name),
    "test": (mnist.TEST_IMAGES.name, mnist.TEST_LABELS.name),
}
RESULT = (*FILES["train"], *FILES["test"], NAMES_FILE)
BLOCK = 1 << 12  # images that are written at once


def import_collection(
    source: Path,
    folder: Path,
    answers: Answers,
    *,
    test_share: float | None = None,
    log: Callable[[str], object] = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> None:
    """Write a source as a folder for `data.path`. An interrupted import of pictures goes on.

    Parameters
    ----------
    source
        A file or folder that `read_collection` reads.
    folder
        The folder: new, empty, or with an unfinished import of this source. A finished import of
        it, with the same options, stays as it is.
    answers
        What the user says about the source.
    test_share
        The share of each class that becomes the test set, if the source has none.
    log
        Gets a line about what was found.
    progress
        Is called after each picture.

    Raises
    ------
    ConfigError
        If the folder holds anything else, or as `read_collection`.
    MlpError
        As `read_collection`. Then nothing is left of the import.
    """
    _check_places(source, folder)
    options = {key: value for key, value in asdict(answers).items() if value not in (None, False)}
    if test_share is not None:
        options["test_share"] = test_share
    place = str(source.absolute()).encode(errors="backslashreplace").decode()
    wanted = Record(place, from_json(to_json(options)), state_of(source))
    with storage_errors("write into", folder):
        made = make_folder(folder)
    with _locked(folder):
        record = _begin(folder, wanted, log)
        if record is None:
            return
        written: list[Path] = []
        try:
            with closing(KeptPictures(folder, record)) as store:
                found = read_collection(source, answers, progress, store)
            if test_share is not None:
                found = with_test_set(found, test_share)
            log(str(found))
            files = _write(found, folder, written)
            del found  # which has mapped the pictures into memory
            replace(wanted, files=files).write(folder)
        except MlpError:
            _remove([*written, folder / PICTURES, folder / RECORD], made)
            raise
        _remove([folder / PICTURES], [])


def _check_places(source: Path, folder: Path) -> None:
    with storage_errors("read", source):
        if mode_of(source) is None:
            raise DataError(f"{source}: there is no such file or folder. Name what to import.")
        if folder.resolve().is_relative_to(source.resolve()):
            raise ConfigError(f"{folder} lies in {source}. Choose a folder outside.")
    with storage_errors("read", folder):
        if not stat.S_ISDIR(mode_of(folder) or stat.S_IFDIR):
            raise ConfigError(f"{folder} is a file. Choose the name of a new folder.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let no other process import into the folder during the block."""
    with ExitStack() as at_the_end:
        with storage_errors("open", folder):
            descriptor = at_the_end.enter_context(opened_lockable(folder))
        free = True
        with suppress(OSError):  # this file system has no locks
            free = try_lock(descriptor)
        if not free:
            raise ConfigError(f"{folder}: another process imports into it. Wait until it is done.")
        yield


def _begin(folder: Path, wanted: Record, log: Callable[[str], object]) -> Record | None:
    """Return the record of an import to begin or to go on with, None if it is finished.

    Raises
    ------
    ConfigError
        If the folder holds anything else.
    """
    record = read_record(folder)
    with storage_errors("read the folder", folder):
        others = _other_files(folder, () if record is None else (*RESULT, PICTURES, RECORD))
    if others:
        raise ConfigError(
            f"{folder} is not empty: it holds {visible(others[0])}. Choose a new folder."
        )
    if record is None:
        wanted.write(folder)
        return wanted
    if record.source != wanted.source or (record.files and not record.is_same_import(wanted)):
        raise ConfigError(
            f"{folder} holds {_description(record, wanted)}. Choose a new folder, or remove "
            "this one first."
        )
    if record.files:
        _check_result(folder, record)
        _remove([folder / PICTURES], [])
        log(f"{folder} holds this import already.")
        return None
    if record.is_same_import(wanted):
        if record.pictures:
            log(f"The import goes on after {record.pictures:,} pictures.")
        return record
    log("The source or the options have changed, so the import begins again.")
    wanted.write(folder)
    return wanted


def _description(record: Record, wanted: Record) -> str:
    kind = "an import" if record.files else "an unfinished import"
    if record.source != wanted.source:
        return f"{kind} of {visible(record.source)}"
    if record.options != wanted.options:
        return f"{kind} of the same source with other options"
    return f"{kind} of the same source, which has changed since"


def _other_files(folder: Path, ours: tuple[str, ...]) -> list[str]:
    """Return what in a folder is not ours, after the temporary files of ours are removed."""
    temporary = re.compile(rf"\.({'|'.join(map(re.escape, (*ours, RECORD)))})\.[0-9a-f]{{16}}\.tmp")
    others = []
    for path in sorted(folder.iterdir()):
        if temporary.fullmatch(path.name):
            path.unlink()
        elif path.name not in (*ours, *LOCK_FILES):
            others.append(path.name)
    return others


def _check_result(folder: Path, record: Record) -> None:
    for name, digest in record.files.items():
        path = folder / name
        with storage_errors("read", path):
            found = "" if mode_of(path) is None else _digest_of_file(path)
        if found != digest:
            state = "has changed" if found else "is missing"
            raise ConfigError(
                f"{path} {state} since it was imported. Remove {folder}, and import again."
            )


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(found: Collection, folder: Path, written: list[Path]) -> dict[str, str]:
    """Write the files of the result, add them to `written`, and return their digests."""
    names = _names_text(found)
    digests = {}
    for name, part in found.parts.items():
        arrays = (part.images,) if part.labels is None else (part.images, part.labels)
        for file, array in zip(FILES[name], arrays, strict=False):
            digests[file] = _write_idx(folder / file, array, written)
    if names:
        path = folder / NAMES_FILE
        digests[NAMES_FILE] = hashlib.sha256(names).hexdigest()
        if not _is_there(path, digests[NAMES_FILE]):
            atomic_write(path, names)
            written.append(path)
    return digests


def _names_text(found: Collection) -> bytes:
    for name in found.names:
        if not name.isprintable() or not name.strip():
            raise DataError(
                f"{visible(str(found.source))}: a class is called '{visible(name)}', but a name "
                "must be one line of printable characters. Rename it."
            )
    return "".join(f"{name}\n" for name in found.names).encode()


def _write_idx(path: Path, array: Pixels, written: list[Path]) -> str:
    """Write an array as an IDX file, read it back, and return the digest of the file."""
    content = hashlib.sha256(idx_header(array.shape))
    for block in _blocks(array):
        content.update(block.data)
    if _is_there(path, content.hexdigest()):
        return content.hexdigest()
    with storage_errors("write", path), atomic_writer(path) as file:
        file.write(idx_header(array.shape))
        for block in _blocks(array):
            file.write(block.data)
    written.append(path)
    back = hashlib.sha256(idx_header(array.shape))
    back.update(read_idx(path, ndim=array.ndim).reshape(-1).data)
    if back.digest() != content.digest():
        raise StorageError(
            f"{path}: the file is not as it was written. The disk may be broken. Choose another "
            "folder."
        )
    return content.hexdigest()


def _blocks(array: Pixels) -> Iterator[Pixels]:
    for start in range(0, len(array), BLOCK):
        yield np.ascontiguousarray(array[start : start + BLOCK])


def _is_there(path: Path, digest: str) -> bool:
    """Whether an interrupted import has written the file already.

    Raises
    ------
    ConfigError
        If another file has its name.
    """
    with storage_errors("read", path):
        if mode_of(path) is None:
            return False
        if _digest_of_file(path) == digest:
            return True
    raise ConfigError(f"{path} is already there, and is not of this import. Choose a new folder.")


def _remove(files: list[Path], folders: list[Path]) -> None:
    with suppress(OSError):  # a file that stays does no harm
        for file in files:
            file.unlink(missing_ok=True)
        for folder in reversed(folders):
            folder.rmdir()
