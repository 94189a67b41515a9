"""CSV tables with an image in each line: its pixels row by row, and mostly its label.

Known are Kaggle's `label,pixel0,…` and files without a header, with the label first or last. What
neither the header nor the numbers say is asked for.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.formats.collection import Answers, Collection, Progress
from mlp_cli.data.formats.csv_numbers import CsvFile, open_csv
from mlp_cli.data.formats.labels import MOST_CLASSES
from mlp_cli.data.formats.parts import as_collection
from mlp_cli.data.formats.questions import question
from mlp_cli.data.formats.values import find_white
from mlp_cli.errors import DataError, visible
from mlp_cli.nn.buffers import Pixels
from mlp_cli.storage.files import storage_errors

LABELS = ("label", "labels", "class", "target", "y")  # names of the label's column
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_PART = re.compile(r"(?:.*[-_. ])?(train|test)\.[ct]sv(?:\.gz)?")

Place = Literal["first", "last", "none"]


class Table(NamedTuple):
    """The images (n, height, width) and labels (n,) of a table, its label's column, and white."""

    images: Pixels
    labels: NDArray[np.int64] | None
    place: Place
    white: float


def read_table(
    path: Path, answers: Answers, progress: Progress
) -> tuple[Pixels, NDArray[np.int64] | None]:
    """Return the images (n, height, width) and the labels (n,) of a CSV file.

    Raises
    ------
    ConfigError
        If the label's column, the size of the images or the value of white is open.
    DataError
        If the file is damaged, or no table of images.
    StorageError
        If it cannot be read.
    """
    return _read(path, answers, progress, None)[:2]


def read_tables(source: Path, answers: Answers, progress: Progress) -> Collection:
    """Return what a CSV file holds, or the pair for training and testing in a folder.

    Raises
    ------
    ConfigError, DataError, StorageError
        As `read_table`; also if the files of a folder do not belong together.
    """
    files = table_files(source)
    tables: dict[str, Table] = {}
    for part, path in files.items():
        tables[part] = _read(path, answers, progress, tables.get("train"))
    sets = {part: (table.images, table.labels) for part, table in tables.items()}
    return as_collection(source, "a CSV table", sets)


def table_files(source: Path) -> dict[str, Path]:
    """Return the CSV files of a source by their part: "train" and "test", or one of them.

    In a folder, `train.csv`, `mnist_train.csv` and the like are for training, and the same with
    "test" for testing. Another CSV file counts only if none is for training.

    Raises
    ------
    DataError
        If a folder has several files for one part, or none at all.
    StorageError
        If the folder cannot be read.
    """
    if not source.is_dir():
        return {_part(source) or "train": source}
    with storage_errors("read the folder", source):
        tables = [path for path in sorted(source.iterdir()) if path.name.lower().endswith(ENDINGS)]
    files = {part: [path for path in tables if _part(path) == part] for part in ("train", "test")}
    files["train"] = files["train"] or [path for path in tables if _part(path) is None]
    for part, paths in files.items():
        if len(paths) > 1:
            names = " and ".join(visible(path.name) for path in paths[:2])
            raise DataError(
                f"{source}: there are {len(paths)} tables for the {part} set, as {names}. Leave "
                "one in the folder, or name a file."
            )
    if not any(files.values()):
        raise DataError(
            f"{source}: the folder has no CSV file. Their names end in .csv or .csv.gz."
        )
    return {part: paths[0] for part, paths in files.items() if paths}


def _part(path: Path) -> str | None:
    """Return which part the name of a CSV file says, None if it says none."""
    found = _PART.fullmatch(path.name.lower())
    return found[1] if found else None


def _read(path: Path, answers: Answers, progress: Progress, train: Table | None) -> Table:
    """Read a table. If it is the test set of `train`, what was found there holds here too."""
    file = open_csv(path)
    white = answers.white or (train.white if train else None)
    cells = _read_cells(file, white, progress)
    place = _place(file, cells.ends, answers, train)
    height, width = _size(file, place, answers)
    pixel_ends = {"first": [1], "last": [0], "none": [0, 1]}[place]
    high = cells.high
    for end in pixel_ends:
        _check_values(file, 0, cells.ends[:, [end]], column=(1, file.columns)[end])
        high = max(high, float(cells.ends[:, end].max()))
    white = find_white(str(path), high, white)
    if white != cells.white:
        cells = _read_cells(file, white, progress)
    for end in pixel_ends:
        cells.grey[:, -end] = _scaled(cells.ends[:, end], white)
    labels = None
    if place != "none":
        labels = _labels(file, cells.ends[:, 0 if place == "first" else 1])
    images = _without_labels(cells.grey, place).reshape(-1, height, width)
    return Table(images, labels, place, white)


class _Cells(NamedTuple):
    """The numbers of a table.

    Attributes
    ----------
    grey
        The grey values (rows, columns) of all columns but the first and the last, which are not
        set.
    ends
        The numbers (rows, 2) in the first and the last column, one of which may be the label.
    high
        The largest number in the other columns.
    white
        The number that became white.
    """

    grey: Pixels
    ends: NDArray[np.float64]
    high: float
    white: float


def _read_cells(file: CsvFile, white: float | None, progress: Progress) -> _Cells:
    """Read the numbers of a table. If `white` is None, the first lines say what it may be."""
    grey = np.empty((file.rows, file.columns), np.uint8)
    ends = np.empty((file.rows, 2))
    high = 0.0
    for row, numbers in file.numbers():
        rows = slice(row, row + len(numbers))
        inner = numbers[:, 1:-1]
        _check_values(file, row, inner, column=2)
        high = max(high, float(inner.max()))
        if white is None:
            white = 1 if high <= 1 else 255
        grey[rows, 1:-1] = _scaled(inner, white)
        ends[rows] = numbers[:, [0, -1]]
        progress(rows.stop, file.rows)
    assert white is not None  # there is a row at least
    return _Cells(grey, ends, high, white)


def _check_values(file: CsvFile, row: int, numbers: NDArray[Any], column: int) -> None:
    """Refuse numbers that are no grey values. The first is in this row and column of the table."""
    if float(numbers.min()) >= 0 and float(numbers.max()) < np.inf:
        return
    wrong = ~(np.isfinite(numbers) & (numbers >= 0))
    line, at = np.unravel_index(int(wrong.argmax()), wrong.shape)
    raise DataError(
        f"{file.path}, line {file.line_of(row + int(line))}, column {column + int(at)}: "
        f"{numbers[line, at]:g} is no grey value. Grey values are finite and not negative."
    )


def _scaled(numbers: NDArray[Any], white: float) -> Pixels:
    """Return numbers as grey values. Those above `white` become white, and are refused later."""
    return np.rint(np.minimum(numbers / white * 255, 255)).astype(np.uint8)


def _place(
    file: CsvFile, ends: NDArray[np.float64], answers: Answers, train: Table | None
) -> Place:
    """Return which column of a table is the label."""
    if train and file.columns == train.images[0].size:
        return "none"
    if answers.label_column:
        return answers.label_column
    named = [at for at, name in enumerate(file.header or ()) if name.lower() in LABELS]
    if named:
        if named == [0]:
            return "first"
        if named == [file.columns - 1]:
            return "last"
        raise DataError(
            f"{file.path}, line 1: the label is column {' and '.join(str(n + 1) for n in named)}, "
            "but it must be the first or the last column."
        )
    if train and train.place != "none" and file.columns == train.images[0].size + 1:
        return train.place
    if file.columns == (math.prod(answers.size) if answers.size else math.isqrt(file.columns) ** 2):
        return "none"
    first, last = map(_may_be_labels, ends.T)
    if first == last:
        raise question(
            str(file.path),
            f"it has {file.columns:,} columns, and neither a header nor the numbers say whether "
            "the first or the last is the label",
            "--label-column first, last or none",
        )
    return "first" if first else "last"


def _may_be_labels(numbers: NDArray[np.float64]) -> bool:
    if not (numbers.min() >= 0 and (np.trunc(numbers) == numbers).all()):
        return False
    return 2 <= len(np.unique(numbers)) < MOST_CLASSES


def _size(file: CsvFile, place: Place, answers: Answers) -> tuple[int, int]:
    """Return the height and the width of the images in a table."""
    pixels = file.columns - (place != "none")
    side = math.isqrt(pixels)
    labels = "" if place == "none" else f", of which the {place} is the label"
    height, width = answers.size or (side, side)
    if height * width == pixels:
        return height, width
    seen = f"it has {file.columns:,} columns{labels}, and {pixels:,} pixels"
    if answers.size:
        raise DataError(
            f"{file.path}: {seen} are not {height}×{width}, as --size says. Give the size that the "
            "images have, and with --label-column where the label is."
        )
    raise question(
        str(file.path), f"{seen} are no square", "--size HEIGHTxWIDTH, and perhaps --label-column"
    )


def _labels(file: CsvFile, numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    whole = (numbers >= 0) & (numbers < 2**53) & (np.trunc(numbers) == numbers)
    if not whole.all():
        row = int(whole.argmin())
        raise DataError(
            f"{file.path}, line {file.line_of(row)}: the label {numbers[row]:g} is not a whole "
            "number of 0 or more. Number the classes 0, 1, …"
        )
    return numbers.astype(np.int64)


def _without_labels(cells: Pixels, place: Place) -> Pixels:
    """Move the pixels of all images together, without memory for a copy."""
    if place == "none":
        return cells
    rows, columns = cells.shape
    pixels = cells[:, 1:] if place == "first" else cells[:, :-1]
    packed = cells.reshape(-1)[: rows * (columns - 1)].reshape(rows, columns - 1)
    for row in range(0, rows, 1000):
        packed[row : row + 1000] = pixels[row : row + 1000].copy()
    return packed
