"""Images and labels in NumPy's `.npz` and `.npy` files.

What an array holds, its name says, in an `.npz` file or as that of an `.npy` file in a folder:
`x_train` and `y_test` as in Keras's `mnist.npz`, `train_images`, `data` and `target`, or
`kmnist-test-labels.npz` with a single array in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.formats.collection import HELD_OUT, SETS, Answers, Collection
from mlp_cli.data.formats.labels import whole_labels
from mlp_cli.data.formats.npy_files import NpzFile, map_npy
from mlp_cli.data.formats.parts import as_collection
from mlp_cli.data.formats.questions import question
from mlp_cli.data.formats.values import as_grey, find_white, largest
from mlp_cli.errors import DataError, visible
from mlp_cli.nn.buffers import Pixels
from mlp_cli.storage.files import storage_errors

_KINDS = dict.fromkeys(("x", "images", "image", "imgs", "data"), "images") | dict.fromkeys(
    ("y", "labels", "label", "target", "targets"), "labels"
)
NAMES = "x_train, y_train, x_test, y_test, or images and labels"

Reader = Callable[[], NDArray[Any]]
Role = tuple[str, str]  # "train" or "test", and "images" or "labels"


def read_npz(path: Path, answers: Answers) -> Collection:
    """Return the images and labels of an `.npz` file.

    Raises
    ------
    ConfigError
        If the size of the images or the value of white is open.
    DataError
        If the file is damaged, or if its arrays are no images and labels.
    StorageError
        If it cannot be read.
    """
    file = NpzFile(path)
    readers = {name: _member(file, name) for name in file.names}
    return _read(path, "a NumPy .npz file", readers, answers)


def read_npy_folder(folder: Path, answers: Answers) -> Collection:
    """Return the images and labels of a folder of `.npy` files, or of `.npz` files of one array.

    A folder may instead hold one `.npz` file with all arrays.

    Raises
    ------
    ConfigError, DataError, StorageError
        As `read_npz`.
    """
    files = array_files(folder)
    if len(files) == 1 and files[0].suffix.lower() == ".npz":
        return read_npz(files[0], answers)
    return _read(folder, "NumPy arrays", {path.name: _file(path) for path in files}, answers)


def array_files(folder: Path) -> list[Path]:
    """Return the `.npy` and `.npz` files in a folder, in the order of their names.

    Raises
    ------
    StorageError
        If the folder cannot be read.
    """
    with storage_errors("read the folder", folder):
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".npy", ".npz"))


def read_npy(path: Path, answers: Answers) -> Collection:
    """Return the images of a single `.npy` file, which has no labels.

    Raises
    ------
    ConfigError, DataError, StorageError
        As `read_npz`.
    """
    part, kind = _role(path.name) or ("train", "images")
    if kind == "labels":
        raise DataError(
            f"{path}: by its name, it holds labels. Name the folder that has the images as well."
        )
    images = _images(str(path), map_npy(path), answers, answers.white)
    return as_collection(path, "a NumPy array", {part: (images, None)})


def _member(file: NpzFile, name: str) -> Reader:
    return lambda: file.read(name)


def _file(path: Path) -> Reader:
    return lambda: map_npy(path) if path.suffix.lower() == ".npy" else _only_array(NpzFile(path))


def _only_array(file: NpzFile) -> NDArray[Any]:
    if len(file.names) != 1:
        raise DataError(
            f"{file.path}: it holds {len(file.names)} arrays, but one of several .npz files in a "
            "folder must hold one. Name this file, to read it alone."
        )
    return file.read(file.names[0])


def _role(name: str) -> Role | None:
    """Return what an array holds by its name, None if the name does not say it."""
    words = re.split(r"[-_. ]", re.sub(r"\.np[yz]$", "", name.lower()))
    kinds = {_KINDS[word] for word in words if word in _KINDS}
    sets = {SETS[word] for word in words if word in SETS} or {"train"}
    if len(kinds) != 1 or len(sets) != 1 or HELD_OUT.intersection(words):
        return None
    return sets.pop(), kinds.pop()


def _read(source: Path, kind: str, readers: Mapping[str, Reader], answers: Answers) -> Collection:
    names, others = _roles(source, list(readers))
    sets: dict[str, tuple[Pixels, NDArray[Any] | None]] = {}
    white = answers.white
    for part in ("train", "test"):
        if (part, "images") not in names:
            continue
        name = names[part, "images"]
        shown = visible(f"{source}: {name}")
        values = readers[name]()
        white = find_white(shown, largest(shown, values), white)
        images = _images(shown, values, answers, white)
        del values  # before the next are read
        labels = None
        if label_name := names.get((part, "labels")):
            labels = whole_labels(visible(f"{source}: {label_name}"), readers[label_name]())
        sets[part] = images, labels
    remarks = (visible(f"without the arrays {', '.join(others)}"),) if others else ()
    return as_collection(source, kind, sets, remarks)


def _roles(source: Path, names: list[str]) -> tuple[dict[Role, str], list[str]]:
    """Return the name of the array for each role, and the names of those that have none."""
    found: dict[Role, str] = {}
    others = []
    for name in names:
        role = _role(name)
        if role is None:
            others.append(name)
        elif role in found:
            both = visible(f"{found[role]} and {name}")
            raise DataError(f"{source}: {both} both hold the {role[1]} for {role[0]}ing. Keep one.")
        else:
            found[role] = name
    for part in ("train", "test"):
        if (part, "labels") in found and (part, "images") not in found:
            label_name = visible(found[part, "labels"])
            raise DataError(f"{source}: {label_name} are labels without images. Add the images.")
    if not found:
        shown = visible(", ".join(names[:10])) or "none"
        raise DataError(
            f"{source}: the arrays are {shown}, but their names must say what they hold: {NAMES}."
        )
    return found, others


def _images(name: str, values: NDArray[Any], answers: Answers, white: float | None) -> Pixels:
    """Return an array as images (n, height, width) of grey values."""
    shape = _shape(name, values.shape, answers)
    return np.ascontiguousarray(as_grey(name, values, white)).reshape(shape)


def _shape(name: str, shape: tuple[int, ...], answers: Answers) -> tuple[int, int, int]:
    """Return the shape (n, height, width) of images in an array of this shape."""
    found = shape
    if len(shape) == 4:
        found = shape[:3] if shape[3] == 1 else (shape[0], *shape[2:]) if shape[1] == 1 else shape
    elif len(shape) == 2:
        side = math.isqrt(shape[1])
        if not answers.size and side * side != shape[1]:
            seen = f"it has {shape[1]:,} values for each image, which is no square number"
            raise question(name, seen, "--size HEIGHTxWIDTH")
        found = (shape[0], *(answers.size or (side, side)))
    if len(found) != 3 or math.prod(found) != math.prod(shape):
        size = f" with --size {answers.size[0]}x{answers.size[1]}" if answers.size else ""
        raise DataError(
            f"{name}: an array of shape {shape}{size}, but images are grey, of shape (n, height, "
            "width), (n, height, width, 1), (n, 1, height, width) or (n, height × width)."
        )
    n, height, width = found
    return n, height, width
