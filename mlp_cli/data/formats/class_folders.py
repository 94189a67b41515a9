"""Read pictures that lie in a folder for each class.

The class folders lie in the source itself, or in folders `train` and `test` of it. A class has the
name of its folder. Hidden files and folders are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from mlp_cli.data.formats.collection import (
    HELD_OUT,
    SETS,
    Answers,
    Collection,
    Part,
    Progress,
)
from mlp_cli.data.formats.labels import MOST_CLASSES, align
from mlp_cli.data.idx import UNPACKED, most_unpacked
from mlp_cli.data.pictures.prepare import prepare_digit
from mlp_cli.data.pictures.reading import ENDINGS, read_pictures
from mlp_cli.data.pictures.windows import scaled
from mlp_cli.errors import ConfigError, DataError, visible
from mlp_cli.nn.buffers import Pixels
from mlp_cli.storage.files import storage_errors

KIND = "pictures in class folders"
NO_PICTURES = ("Thumbs.db", "desktop.ini")  # which Windows puts into folders


class Store(Protocol):
    """Takes the images one after the other."""

    def begin(self, shape: tuple[int, int, int]) -> int:
        """Make room for images of a shape, and return how many of them are there already."""

    def add(self, image: Pixels) -> None:
        """Take the next image (height, width)."""

    def images(self) -> Pixels:
        """Return all images."""


class Memory:
    """Takes the images into an array."""

    def begin(self, shape: tuple[int, int, int]) -> int:
        """Make the array."""
        self._images, self._n = np.empty(shape, np.uint8), 0
        return 0

    def add(self, image: Pixels) -> None:
        """Take the next image (height, width)."""
        self._images[self._n] = image
        self._n += 1

    def images(self) -> Pixels:
        """Return the array."""
        return self._images


@dataclass(frozen=True)
class Pictures:
    """The files of one set, with the code of the class of each, and the names of the classes."""

    paths: list[Path]
    labels: Pixels
    names: tuple[str, ...]


def read_class_folders(
    folder: Path, answers: Answers, progress: Progress, store: Store | None = None
) -> Collection:
    """Read the pictures of a folder that has a folder for each class.

    Parameters
    ----------
    folder
        The source.
    answers
        `size` scales all pictures, and `prepare` makes each of them an image as MNIST's.
    progress
        Is called after each picture.
    store
        Takes the images: those of the training set, then those of the test set.

    Raises
    ------
    ConfigError
        If `size` and `prepare` are both given, or if the extra `images` is missing.
    DataError
        If a picture or a folder is not as it must be, or if pictures have different sizes and no
        answer says what to do. The message names them.
    StorageError
        If one cannot be read.
    """
    if answers.size is not None and answers.prepare:
        raise ConfigError("--size and --prepare exclude each other. Give one.")
    with storage_errors("read the folder", folder):
        sets, remarks = find_pictures(folder)
    paths = [path for found in sets.values() for path in found.paths]
    store = store or Memory()
    first = _image(paths[0], answers)
    _check_memory(folder, paths, first.shape)
    start = store.begin((len(paths), *first.shape))
    for done, path in enumerate(paths[start:], start + 1):
        image = _image(path, answers)
        if image.shape != first.shape:
            raise DataError(
                f"{_shown(paths[0], first)}, but {_shown(path, image)}. Give them one size, or "
                f"import them by `mlp data import` with --size {first.shape[0]}x{first.shape[1]} "
                "or --prepare."
            )
        store.add(image)
        progress(done, len(paths))
    images, at = store.images(), 0
    parts = {}
    for name, found in sets.items():
        parts[name] = Part(images[at : at + len(found.paths)], found.labels)
        at += len(found.paths)
    return Collection(folder, KIND, parts, next(iter(sets.values())).names, tuple(remarks))


def find_pictures(folder: Path) -> tuple[dict[str, Pictures], list[str]]:
    """Return the pictures of each set by its name, the training set first, and remarks.

    Raises
    ------
    DataError
        If a folder is not as it must be. The message names it.
    OSError
        If one cannot be read.
    """
    folders = _folders(folder)
    divided = {
        path: SETS[path.name.lower()]
        for path in folders
        if path.name.lower() in SETS and _folders(path)
    }
    if not divided:
        return {"train": _pictures(folder, folders)}, []
    sets, remarks = {}, []
    for path in folders:
        if path.name.lower() in HELD_OUT:
            remarks.append(f"{visible(path.name)} left out")
        elif path not in divided:
            raise DataError(
                f"{_shown(path)}: it lies beside {_list(divided)}, but is none of training and "
                "test set. Move it away."
            )
        elif divided[path] in sets:
            raise DataError(f"{_shown(path)}: a second {divided[path]} set. Move it away.")
        else:
            sets[divided[path]] = _pictures(path, _folders(path))
    if "train" in sets and "test" in sets:
        (place,) = (path for path, name in divided.items() if name == "test")
        names, test = sets["train"].names, sets["test"]
        labels = align(test.labels, test.names, names, _shown(place))
        sets = {"train": sets["train"], "test": Pictures(test.paths, labels, names)}
    return sets, remarks


def _pictures(folder: Path, folders: Sequence[Path]) -> Pictures:
    """Return the pictures of one set."""
    for entry in _entries(folder):
        if entry.is_file() and entry.name.lower().endswith(ENDINGS):
            if not folders:
                raise DataError(
                    f"{_shown(folder)}: its pictures lie in no class folders. Put those of each "
                    "class into a folder of their own. `mlp predict` classifies them as they are."
                )
            raise DataError(
                f"{_shown(Path(entry))}: a picture beside the class folders. Move it into one."
            )
    if len(folders) < 2:
        raise DataError(
            f"{_shown(folder)}: {len(folders) or 'no'} class folder{'' if folders else 's'}. Put "
            "the pictures of each class into a folder of their own, and give two classes or more."
        )
    if len(folders) > MOST_CLASSES:
        raise DataError(
            f"{_shown(folder)}: {len(folders):,} class folders, but at most {MOST_CLASSES} classes "
            "are possible."
        )
    classes = sorted(folders, key=_order)
    files = [_files(path) for path in classes]
    labels = np.repeat(np.arange(len(classes), dtype=np.uint8), [len(each) for each in files])
    return Pictures([path for each in files for path in each], labels, _names(classes))


def _names(classes: Sequence[Path]) -> tuple[str, ...]:
    return tuple(path.name for path in classes)


def _order(path: Path) -> tuple[bool, int, str]:
    """Return what sorts numbers by size, and then all other names."""
    number = path.name.isascii() and path.name.isdigit() and len(path.name) < 20
    return not number, int(path.name) if number else 0, path.name


def _files(folder: Path) -> list[Path]:
    """Return the pictures of a class in the order of their names."""
    found = []
    for entry in _entries(folder):
        if entry.is_dir():
            raise DataError(
                f"{_shown(Path(entry))}: a folder within a class folder. Move its pictures into "
                f"{_shown(folder)}."
            )
        if not entry.is_file():
            raise DataError(f"{_shown(Path(entry))}: it is no file. Remove it.")
        found.append(entry.path)
    if not found:
        raise DataError(f"{_shown(folder)}: the folder of a class is empty. Fill or remove it.")
    return [Path(path) for path in sorted(found)]


def _folders(folder: Path) -> list[Path]:
    return sorted(Path(entry) for entry in _entries(folder) if entry.is_dir())


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name not in NO_PICTURES:
                yield entry


def _image(path: Path, answers: Answers) -> Pixels:
    """Return the only picture of a file as an image."""
    pictures = list(islice(read_pictures(path), 2))
    if len(pictures) > 1:
        raise DataError(
            f"{_shown(path)}: several pictures in one file. Each needs a file of its own."
        )
    values = pictures[0].values
    if answers.prepare:
        digit, _ = prepare_digit(values)
        if digit is None:
            raise DataError(f"{_shown(path)}: the picture is blank. Remove it.")
        return digit.image
    if answers.size is not None and values.shape != answers.size:
        values = scaled(values, *answers.size)
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _check_memory(folder: Path, paths: Sequence[Path], shape: tuple[int, ...]) -> None:
    needed = len(paths) * shape[0] * shape[1]
    if needed <= UNPACKED:
        return
    with storage_errors("read", folder):
        held = sum(path.stat().st_size for path in paths)
    if needed > most_unpacked(held):
        raise DataError(
            f"{_shown(folder)}: {len(paths):,} pictures of {shape[0]}×{shape[1]} pixels are "
            f"{needed:,} bytes, but their files have only {held:,}. If that is right, import them "
            "with a smaller --size."
        )


def _shown(path: Path, image: Pixels | None = None) -> str:
    size = "" if image is None else f" has {image.shape[0]}×{image.shape[1]} pixels"
    return f"{visible(str(path))}{size}"


def _list(paths: Mapping[Path, str]) -> str:
    return " and ".join(visible(path.name) for path in paths)
