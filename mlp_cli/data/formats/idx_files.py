"""IDX files of images and their labels, of any type and under other names than MNIST's.

Known are the names of MNIST, EMNIST and QMNIST, raw or gzipped, with dots or dashes, and others in
which "images" or "labels" stands before "idx". EMNIST's published images lie on their side, and are
turned upright.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from mlp_cli.data.formats.collection import SETS, Answers, Collection
from mlp_cli.data.formats.labels import whole_labels
from mlp_cli.data.formats.orientation import turn_upright
from mlp_cli.data.formats.parts import as_collection
from mlp_cli.data.formats.values import as_grey, find_white, largest
from mlp_cli.data.idx import IMAGES, LABELS, read_numbers
from mlp_cli.errors import ConfigError, DataError, visible
from mlp_cli.nn.buffers import Pixels
from mlp_cli.storage.files import storage_errors

LETTERS = "emnist-letters"
EMNIST = {f"emnist-{split}" for split in ("balanced", "byclass", "bymerge", "digits", "mnist")}
EMNIST.add(LETTERS)
LARGEST_MAPPING = 1 << 14  # bytes that are read; the published files have less than 1,000

_NAME = re.compile(r"(.*)(images|labels)(?=.*idx)")
_MAPPED = re.compile(rb"\s*(\d{1,3})\s+(\d{1,5})(?:\s+\d{1,5})*\s*")
_SET = re.compile(rf"(.*)({'|'.join(sorted(SETS, key=len, reverse=True))})(.*)")


class IdxName(NamedTuple):
    """What the name of an IDX file says.

    Attributes
    ----------
    data_set
        The name of the data set, as in "emnist-letters"; empty for MNIST's names.
    part
        "train" or "test". A name that says neither is of the part "train".
    role
        "images" or "labels".
    """

    data_set: str
    part: str
    role: str


def idx_name(name: str) -> IdxName | None:
    """Return what a file's name says if it is a name for an IDX file, None if not."""
    words = re.sub(r"[-_. ]+", "-", name.lower())
    found = _NAME.match(words)
    if not found:
        return None
    before, role = found.groups()
    part = "train"
    if found := _SET.match(before):
        part = SETS[found[2]]
        before = found[1].strip("-") + found[3]
    return IdxName(before.strip("-"), part, role)


def read_idx_folder(source: Path, answers: Answers) -> Collection:
    """Read the IDX files of one data set.

    Parameters
    ----------
    source
        A folder, or a file of images. The file's labels are found beside it; and so is the test
        set if it is a file of training images.
    answers
        What the user says: `transpose` and `white`.

    Raises
    ------
    ConfigError
        If the folder holds several data sets, or if the value of white is open.
    DataError
        If a file is damaged or missing, or if files do not belong together.
    StorageError
        If a file cannot be read.
    """
    data_set, files = _files(source)
    sets: dict[str, tuple[Pixels, NDArray[Any] | None]] = {}
    white = answers.white
    for part, roles in sorted(files.items(), reverse=True):  # training says what white is
        name = str(roles["images"])
        values = read_numbers(roles["images"], IMAGES)
        white = find_white(name, largest(name, values), white)
        images, labels = as_grey(name, values, white), None
        del values  # before the next are read
        if path := roles.get("labels"):
            labels = whole_labels(str(path), read_numbers(path, LABELS))
        sets[part] = images, labels
    collection = as_collection(source, "IDX files", sets)
    if data_set not in EMNIST:
        return collection
    folder = source if source.is_dir() else source.parent
    collection = _with_names(collection, data_set, folder / f"{data_set}-mapping.txt")
    return turn_upright(collection) if answers.transpose is None else collection


Files = dict[str, dict[str, Path]]  # by part and role


def _files(source: Path) -> tuple[str, Files]:
    """Return the data set that a source means, and its files."""
    if source.is_dir():
        data_sets = _data_sets(source)
        if len(data_sets) > 1:
            names = ", ".join(visible(_images(files)[0].name) for files in data_sets.values())
            raise ConfigError(
                f"{source}: the folder holds the images of several data sets: {names}. Name one of "
                "these files instead of the folder."
            )
        if not data_sets:
            raise DataError(f"{source}: the folder holds no IDX file of images.")
        ((data_set, files),) = data_sets.items()
    else:
        name = idx_name(source.name)
        if name is None:
            return "", {"train": {"images": source}}
        if name.role == "labels":
            raise DataError(
                f"{source}: a file of labels. Name the file of images that belongs to it."
            )
        data_set, files = name.data_set, _data_sets(source.parent).get(name.data_set, {})
        files.setdefault(name.part, {})["images"] = source
        if name.part == "test":
            files = {"test": files["test"]}
    for roles in files.values():
        if "images" not in roles:
            raise DataError(
                f"{roles['labels']}: there is no file of images beside these labels. Put it there, "
                "or remove the labels."
            )
    return data_set, files


def _data_sets(folder: Path) -> dict[str, Files]:
    """Return the files of each data set in a folder, of which at least one has images.

    A raw file is taken before a gzipped one.
    """
    with storage_errors("read the folder", folder):
        paths = sorted(folder.iterdir(), key=lambda path: (path.suffix == ".gz", path.name))
    found: dict[str, Files] = {}
    for path in paths:
        name = idx_name(path.name)
        if name and not path.name.startswith(".") and path.is_file():
            files = found.setdefault(name.data_set, {})
            files.setdefault(name.part, {}).setdefault(name.role, path)
    return {name: found[name] for name in sorted(found) if _images(found[name])}


def _images(files: Files) -> list[Path]:
    return [files[part]["images"] for part in ("train", "test") if "images" in files.get(part, {})]


def _with_names(collection: Collection, data_set: str, mapping: Path) -> Collection:
    """Give the classes of EMNIST their characters, if they are known."""
    characters = (
        {number: chr(64 + number) for number in range(1, 27)} if data_set == LETTERS else {}
    )
    if mapping.exists():
        characters = _read_mapping(mapping)
        for name in collection.names:
            if int(name) not in characters:
                raise DataError(
                    f"{mapping}: label {name} of the data is missing. Download the file again, or "
                    "remove it to train without the names of the classes."
                )
    names = tuple(characters.get(int(name), name) for name in collection.names)
    return replace(collection, names=names)


def _read_mapping(path: Path) -> dict[int, str]:
    """Return the character of each label, from lines of a label and its codes in ASCII."""
    with storage_errors("read", path), path.open("rb") as file:
        content = file.read(LARGEST_MAPPING)
    characters: dict[int, str] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        found = _MAPPED.fullmatch(line)
        character = chr(int(found[2])) if found else ""
        if not found or not character.isprintable() or int(found[1]) in characters:
            raise DataError(
                f"{path}, line {number}: it must be a label and the codes of its characters, as in "
                "`1 65 97`, and each label has one line. Download the file again, or remove it to "
                "train without the names of the classes."
            )
        characters[int(found[1])] = character
    return characters
