"""Read the user's own images: what `data.path` and `--data-path` name.

A folder with MNIST's file names, in unsigned bytes, is read here, mapped into memory. Anything else
is read by `formats`.
"""

from __future__ import annotations

import gzip
import shlex
import stat
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlp_cli.data import mnist
from mlp_cli.data.formats.collection import NAMES_FILE, Collection, NoFileError, Part
from mlp_cli.data.idx import GZIP_MAGIC, UNSIGNED_BYTE, read_idx
from mlp_cli.errors import DataError, reason, visible
from mlp_cli.nn.buffers import Pixels
from mlp_cli.storage.files import mode_of, storage_errors

FILES = {
    "train": (mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS),
    "test": (mnist.TEST_IMAGES, mnist.TEST_LABELS),
}
MOST_NAMES, MOST_BYTES = 256, 1 << 16


def read_for_training(path: Path, *, test: bool) -> Collection:
    """Read labelled images to train on, and a test set if `test`.

    Raises
    ------
    NoFileError
        If the training set is not there, or the test set that is wanted.
    MlpError
        As `read_collection`.
    """
    if _holds_plain_idx(path):
        return _read_folder(path, {name: FILES[name] for name in FILES if test or name == "train"})
    try:
        found = _read_other_format(path)
    except NoFileError as error:
        raise NoFileError(f"data.path {error}") from error
    if "train" not in found.parts:
        raise NoFileError(f"data.path {path}: there are test images, but none to train on.")
    if found.parts["train"].labels is None:
        raise DataError(f"data.path {path}: the images have no labels, but training needs them.")
    if test and ("test" not in found.parts or found.parts["test"].labels is None):
        lack = "no labels for the test set" if "test" in found.parts else "no test set"
        share = f"mlp data import {shlex.quote(str(path))} DIR --test-share 0.2"
        raise NoFileError(
            f"data.path {path}: there is {lack}. To train without a test set: --set "
            f"data.test=false. To set images aside for one: `{share}`."
        )
    return found


def read_to_score(path: Path) -> Collection:
    """Read images to score a network on: the test set if there is one, else the only set.

    They may have no labels.

    Raises
    ------
    MlpError
        As `read_collection`.
    """
    if not _holds_plain_idx(path):
        return _read_other_format(path)
    with storage_errors("read the folder", path):
        there = [file for file in mnist.MNIST_FILES if mnist.files_named(path, file.name)]
    name = "test" if set(FILES["test"]) & set(there) else "train"
    images, labels = FILES[name]
    return _read_folder(path, {name: (images, labels) if labels in there else (images,)})


def _read_other_format(path: Path) -> Collection:
    from mlp_cli.data.formats.recognise import read_collection  # which takes 20 ms to load

    return read_collection(path)


def _holds_plain_idx(folder: Path) -> bool:
    """Whether a folder has a file under one of MNIST's names, and all such are unsigned bytes."""
    with storage_errors("read the folder", folder):
        files = [at for file in mnist.MNIST_FILES for at in mnist.files_named(folder, file.name)]
    starts = map(_first_bytes, files)
    others = (start[:2] == b"\0\0" and start[2:3] > bytes([UNSIGNED_BYTE]) for start in starts)
    return bool(files) and not any(others)


def _first_bytes(path: Path) -> bytes:
    """Return the first four bytes of a file, raw or gzipped; fewer if it is damaged."""
    with storage_errors("read", path), path.open("rb") as file:
        start = file.read(4)
        if not start.startswith(GZIP_MAGIC):
            return start
        file.seek(0)
        try:
            return gzip.GzipFile(fileobj=file).read(4)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return b""  # `read_idx` says what is wrong


def _read_folder(folder: Path, sets: Mapping[str, Iterable[mnist.MnistFile]]) -> Collection:
    paths = {file: _own_file(folder, file) for files in sets.values() for file in files}
    parts = read_idx_sets(paths)
    highest = {name: int(p.labels.max()) for name, p in parts.items() if p.labels is not None}
    names = read_names(folder / NAMES_FILE, max(highest.values(), default=-1) + 1)
    train, test = (highest.get(name, -1) for name in FILES)
    if not names and -1 < train < test:
        raise DataError(
            f"{paths[mnist.TEST_LABELS]}: it has label {test}, but the training labels are 0 to "
            f"{train}. Add training images of it, or remove it here."
        )
    numbers = tuple(map(str, range(max(train, test) + 1)))
    return Collection(folder, "IDX files", parts, names or numbers)


def _own_file(folder: Path, file: mnist.MnistFile) -> Path:
    with storage_errors("read the folder", folder):
        found = mnist.files_named(folder, file.name)
    if not found:
        optional = file in FILES["test"]
        hint = " To train without a test set: --set data.test=false." if optional else ""
        raise NoFileError(
            f"data.path {folder}: there is neither {file.name} nor {file.name}.gz. "
            f"Put the IDX file there under one of these names.{hint}"
        )
    return found[0]


def read_idx_sets(paths: Mapping[mnist.MnistFile, Path]) -> dict[str, Part]:
    """Read the sets of images in files under MNIST's names; a set may lack its labels.

    Raises
    ------
    DataError
        If a file is malformed, or if images and labels, or two sets, do not belong together.
    StorageError
        If a file cannot be read.
    """
    parts = {}
    for name, (images, labels) in FILES.items():
        if images in paths:
            parts[name] = _read_set(paths[images], paths.get(labels))
    if len(parts) == 2:
        train, test = parts["train"].images, parts["test"].images
        if test.shape[1:] != train.shape[1:]:
            raise DataError(
                f"{paths[mnist.TEST_IMAGES]}: the test images have {_size(test)} pixels, but "
                f"the training images have {_size(train)}. Make them the same size."
            )
    return parts


def _size(images: Pixels) -> str:
    return f"{images.shape[1]}×{images.shape[2]}"


def _read_set(images_path: Path, labels_path: Path | None) -> Part:
    images = read_idx(images_path, ndim=3)
    if labels_path is None:
        return Part(images, None)
    labels = read_idx(labels_path, ndim=1)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: it holds {len(labels)} labels, but {images_path.name} holds "
            f"{len(images)} images. Use two files that belong together."
        )
    return Part(images, labels)


def read_names(path: Path, classes: int) -> tuple[str, ...]:
    """Return the names of the classes in a file, class 0 first; empty if there is no such file.

    Parameters
    ----------
    path
        UTF-8 text with a name in each line.
    classes
        The fewest names that are needed: the largest label + 1.

    Raises
    ------
    DataError
        If it is no such text, if a name is empty, repeated or has a control character, or if there
        are fewer than `classes` or more than 256.
    StorageError
        If it cannot be read.
    """
    with storage_errors("read", path):
        mode = mode_of(path)
        if mode is None:
            return ()
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: it is no regular file. Write the names of the classes to it.")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(f"{path}: it has more than {MOST_BYTES:,} bytes. Give shorter names.")
    try:
        names = content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: it is not UTF-8 ({reason(error)}). Save the file as UTF-8."
        ) from error
    if len(names) > MOST_NAMES:
        raise DataError(f"{path}: it has {len(names):,} lines, but at most {MOST_NAMES} classes.")
    lines: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if not name.strip():
            why = "the name is empty"
        elif not name.isprintable():
            why = f"the name '{visible(name)}' has a control character"
        elif name in lines:
            why = f"the name '{name}' stands in line {lines[name]} already"
        else:
            lines[name] = line
            continue
        raise DataError(f"{path}, line {line}: {why}. Write one name a line, class 0 first.")
    if len(names) < classes:
        raise DataError(
            f"{path}, line {len(names)}: the file ends after {len(names)} names, but there are "
            f"labels up to {classes - 1}. Write one name a line, class 0 first."
        )
    return tuple(names)
