"""Which format a source has. Its content decides, and the names of files only in a folder."""

from __future__ import annotations

import os
import stat
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from mlp_cli.data.formats.arrays import read_npy, read_npy_folder, read_npz
from mlp_cli.data.formats.class_folders import Store, read_class_folders
from mlp_cli.data.formats.collection import Answers, Collection, NoFileError, Progress
from mlp_cli.data.formats.idx_files import idx_name, read_idx_folder
from mlp_cli.data.formats.npy_files import NPY_MAGIC, ZIP_MAGIC
from mlp_cli.data.formats.orientation import TURNED, are_wide, turn_upright
from mlp_cli.data.formats.table import ENDINGS, read_tables
from mlp_cli.data.idx import GZIP_MAGIC
from mlp_cli.data.pictures.reading import PICTURES
from mlp_cli.errors import ConfigError, DataError, visible
from mlp_cli.storage.files import mode_of, storage_errors

NOTHING_SAID = Answers()
KNOWN = (
    "Images are read from a folder that has a folder of pictures for each class, from CSV tables, "
    "from .npz and .npy files, and from IDX files."
)
SHOWN = 5  # names in a message
DEPTH = 1  # levels below a folder in the source: train/7/1.png

# PNG, JPEG, GIF, TIFF, WebP and BMP
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"RIFF", b"BM")
_START = 1 << 10  # bytes that are looked at
_CONTROLS = {*range(32), 127} - set(b"\t\n\f\r")  # no text has them

Kind = Literal["pictures", "CSV tables", "IDX files", "NumPy arrays", "an .npz file"]

# The options of `mlp data import` that say something about a format, by their fields in `Answers`.
OPTIONS: dict[Kind, tuple[str, ...]] = {
    "pictures": ("transpose", "size", "prepare"),
    "CSV tables": ("label_column", "transpose", "white", "size"),
    "IDX files": ("transpose", "white"),
    "NumPy arrays": ("transpose", "white", "size"),
    "an .npz file": ("transpose", "white", "size"),
}


def read_collection(
    source: Path,
    answers: Answers = NOTHING_SAID,
    progress: Progress = lambda done, total: None,
    store: Store | None = None,
) -> Collection:
    """Read a file or folder of images in any format that is known.

    Parameters
    ----------
    source
        The file or folder.
    answers
        What the user says about it.
    progress
        Is told how far the reading is.
    store
        Takes the images of class folders.

    Raises
    ------
    NoFileError
        If nothing is there, or nothing that is known.
    ConfigError
        If the source leaves something open that an option must say, if an option belongs to
        another format, or if an extra is missing.
    DataError
        If it is damaged, contradicts itself, or would take too much memory.
    StorageError
        If a file cannot be read.
    """
    with storage_errors("read", source):
        mode = mode_of(source)
        if mode is None:
            raise NoFileError(f"{source}: there is no such file or folder. {KNOWN}")
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise NoFileError(f"{source}: it is neither a file nor a folder. {KNOWN}")
        kind = _kind_of_folder(source) if stat.S_ISDIR(mode) else _kind_of_file(source)
        _check_options(kind, source, answers)
        collection = _read(kind, source, answers, progress, store)
    if answers.transpose:
        return turn_upright(collection)
    if answers.transpose is None and are_wide(next(iter(collection.parts.values())).images):
        option = "--no-transpose" if TURNED in collection.remarks else "--transpose"
        remark = (
            f"on average drawn wider than tall (import with {option} if they lie on their side)"
        )
        return replace(collection, remarks=(*collection.remarks, remark))
    return collection


def _check_options(kind: Kind, source: Path, answers: Answers) -> None:
    for name, value in asdict(answers).items():
        if value not in (None, False) and name not in OPTIONS[kind]:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{source}: {kind}, for which {option} has no meaning. Leave it out.")


def _read(
    kind: Kind, source: Path, answers: Answers, progress: Progress, store: Store | None
) -> Collection:
    match kind:
        case "pictures":
            return read_class_folders(source, answers, progress, store)
        case "CSV tables":
            return read_tables(source, answers, progress)
        case "IDX files":
            return read_idx_folder(source, answers)
        case "NumPy arrays" if source.is_dir():
            return read_npy_folder(source, answers)
        case "NumPy arrays":
            return read_npy(source, answers)
        case "an .npz file":
            return read_npz(source, answers)


def _kind_of_file(path: Path) -> Kind:
    """Return the format of a file, which its first bytes say."""
    with path.open("rb") as file:
        start = file.read(_START)
    if start.startswith(NPY_MAGIC):
        return "NumPy arrays"
    if start.startswith(ZIP_MAGIC):
        if _first_member(start).endswith(b".npy"):
            return "an .npz file"
        raise NoFileError(f"{path}: a zip archive. Unpack it, and name what it holds.")
    if start.startswith(GZIP_MAGIC):
        start = _unpacked(start)
    if start.startswith(b"\0\0"):
        return "IDX files"
    if start and _CONTROLS.isdisjoint(start):
        return "CSV tables"
    if start.startswith(_PICTURES):
        raise DataError(
            f"{path}: a single picture. Name a folder that has a folder of pictures for each class."
        )
    found = f"it begins with {start[:4].hex(' ')}" if start else "it is empty or damaged"
    raise NoFileError(f"{path}: {found}, and so no known format of images. {KNOWN}")


def _first_member(start: bytes) -> bytes:
    """Return the name of the first file in a zip archive."""
    length = int.from_bytes(start[26:28], "little")
    return start[30 : 30 + length]


def _unpacked(start: bytes) -> bytes:
    """Return the first bytes in a gzip file; none if it is damaged."""
    try:
        return zlib.decompressobj(wbits=31).decompress(start, _START)
    except zlib.error:
        return b""


def _kind_of_folder(folder: Path) -> Kind:
    """Return the only format that is in a folder."""
    with os.scandir(folder) as entries:
        found = sorted(
            (entry for entry in entries if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )
    examples: dict[Kind, str] = {}
    for entry in found:
        if kind := _kind_of_entry(entry):
            examples.setdefault(kind, entry.name)
    if not examples:
        names = ", ".join(visible(entry.name) for entry in found[:SHOWN])
        more = ", …" if len(found) > SHOWN else ""
        only = f"holds no images, only {names}{more}" if found else "is empty"
        raise NoFileError(f"{folder}: the folder {only}. {KNOWN}")
    if len(examples) > 1:
        kinds = " and ".join(f"{kind} ({visible(name)})" for kind, name in examples.items())
        raise ConfigError(
            f"{folder}: the folder holds {kinds}. Name the file that is meant instead of the "
            "folder, or put each kind into a folder of its own."
        )
    return next(iter(examples))


def _kind_of_entry(entry: os.DirEntry[str]) -> Kind | None:
    """Return the format that a file or folder in a folder seems to have."""
    name = entry.name.lower()
    if entry.is_dir():
        return "pictures" if _holds_pictures(entry.path, DEPTH) else None
    if name.endswith(PICTURES):
        return "pictures"
    if name.endswith(ENDINGS):
        return "CSV tables"
    if name.endswith((".npy", ".npz")):
        return "NumPy arrays"
    return "IDX files" if idx_name(name) else None


def _holds_pictures(folder: str, depth: int) -> bool:
    """Whether a folder has a picture, or a folder in it, so many levels down."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.lower().endswith(PICTURES):
                return True
            if depth and entry.is_dir():
                folders.append(entry.path)
    return any(_holds_pictures(each, depth - 1) for each in folders)
