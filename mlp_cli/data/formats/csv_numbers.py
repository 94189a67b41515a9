"""The numbers of a CSV file, raw or gzipped, piece by piece.

Columns are separated by semicolons, tabs or commas: by the first of these that the first line has.
The first line may be a header. NumPy's `loadtxt` parses the rest. Only a piece of the text is in
memory at a time, and a gzipped file may unpack to no more than an IDX file may.
"""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.idx import CHUNK, GZIP_MAGIC, most_unpacked
from mlp_cli.errors import DataError, reason, visible
from mlp_cli.storage.files import storage_errors

LONGEST_LINE = 1 << 22  # bytes
FEWEST_COLUMNS = 4  # of an image of 1 × 3 pixels with a label, or of 2 × 2 without one
COUNTED = 64  # columns; only more numbers than these can be a header
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I | re.A)


@dataclass(frozen=True)
class CsvFile:
    """A CSV file, of which the lines are counted and the first is read.

    Attributes
    ----------
    path
        The file.
    separator
        What stands between two columns.
    header
        The names of the columns, None if the first line has numbers.
    columns, rows
        How many columns and lines of numbers it has.
    """

    path: Path
    separator: str
    header: list[str] | None
    columns: int
    rows: int

    def line_of(self, row: int) -> int:
        """Return which line of the file, counted from 1, a row of numbers is."""
        return row + (1 if self.header is None else 2)

    def numbers(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the numbers of some lines (n, columns), with how many rows were before them.

        Raises
        ------
        DataError
            If a line has other than `columns` numbers, or if the file is damaged.
        StorageError
            If it cannot be read.
        """
        row, whole = 0, True
        for index, text in enumerate(_texts(self.path)):
            lines = text.split("\n")
            if index == 0 and self.header is not None:
                del lines[0]
            if not lines:
                continue
            found = _parse(lines, self.separator, np.int64) if whole else None
            if found is None:
                whole = False  # decimal numbers are parsed slowly, but also in the next lines
                found = _parse(lines, self.separator, np.float64)
            if found is None or found.shape != (len(lines), self.columns):
                raise self._fault(lines, row)
            yield row, found
            row += len(lines)

    def _fault(self, lines: list[str], row: int) -> DataError:
        """Return the error about the first of these lines that is not `columns` numbers."""
        for line, text in enumerate(lines, self.line_of(row)):
            at = f"{self.path}, line {line}"
            if not text.strip():
                return DataError(f"{at}: the line is empty. Remove it.")
            cells = [cell.strip() for cell in text.split(self.separator)]
            if len(cells) != self.columns:
                return DataError(
                    f"{at}: it has {len(cells):,} columns, but the first line has "
                    f"{self.columns:,}. Every line must have as many."
                )
            for column, cell in enumerate(cells, 1):
                if not cell.strip('"'):
                    return DataError(f"{at}, column {column}: the cell is empty. Give a number.")
                if not _is_number(cell):
                    return DataError(
                        f"{at}, column {column}: {visible(cell[:40])!r} is no number. Write "
                        "decimals with a point, and classes as numbers 0, 1, …; or import pictures "
                        "from a folder for each class."
                    )
        last = self.line_of(row + len(lines) - 1)
        return DataError(
            f"{self.path}, lines {self.line_of(row)} to {last}: they are no rows of numbers. Write "
            "the table without quotation marks."
        )


def open_csv(path: Path) -> CsvFile:
    """Read the first line of a CSV file and count the others.

    Raises
    ------
    DataError
        If it is damaged, or if its first line is no row of a table.
    StorageError
        If it cannot be read.
    """
    lines, characters, first = 0, 0, ""
    for text in _texts(path):
        if lines == 0:
            first = text.partition("\n")[0]
        lines += text.count("\n") + 1
        characters += len(text) + 1
    if not first.strip():
        raise DataError(f"{path}: the first line is empty. A table has an image in each line.")
    separator = next((sign for sign in ";\t" if sign in first), ",")
    cells = [cell.strip() for cell in first.split(separator)]
    if len(cells) < FEWEST_COLUMNS:
        raise DataError(
            f"{path}, line 1: {visible(first[:40])!r} has too few columns for an image "
            f"({len(cells)}). A line has the label and all pixels of an image, with "
            "commas, semicolons or tabs between them."
        )
    header = [cell.strip('"') for cell in cells] if _is_header(cells) else None
    rows = lines - (header is not None)
    if not rows:
        raise DataError(f"{path}: it has only a header. A table has an image in each line.")
    file = CsvFile(path, separator, header, len(cells), rows)
    if characters < 2 * rows * len(cells):  # so a line is too short, and it is found before an
        for _ in file.numbers():  # array of the rows and columns could exhaust the memory
            pass
    return file


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.removeprefix('"').removesuffix('"').strip()) is not None


def _is_header(cells: list[str]) -> bool:
    """Return whether cells are names of columns, which all differ.

    Names may be numbers: they count 0, 1, 2, …, or pandas took an image for the names, and made
    them differ as in 0, 0.1, …, 0.10.
    """
    if len(set(cells)) < len(cells):
        return False
    if not all(map(_is_number, cells)):
        return "" not in cells[1:]
    if len(cells) <= COUNTED:
        return False
    numbers = [float(cell.strip('"')) for cell in cells]
    return len(set(numbers)) < len(numbers) or set(np.diff(numbers)) == {1}


def _parse(lines: list[str], separator: str, dtype: type) -> NDArray[Any] | None:
    """Return lines of numbers as an array, None if they are anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.loadtxt(
                lines, dtype, comments=None, delimiter=separator, quotechar='"', ndmin=2
            )
    except (ValueError, Warning):
        return None


def _texts(path: Path) -> Iterator[str]:
    """Yield the text of a file in pieces of whole lines, each without its last line feed.

    The empty lines at the end of the file are left out.
    """
    with storage_errors("read", path), path.open("rb") as raw:
        packed = raw.peek(2).startswith(GZIP_MAGIC)
        limit = most_unpacked(os.fstat(raw.fileno()).st_size)
        file = gzip.GzipFile(fileobj=raw) if packed else raw
        unpacked, kept, started = 0, "", 0
        try:
            while chunk := file.read(CHUNK):
                if not chunk.endswith(b"\n"):
                    chunk += file.readline(LONGEST_LINE)
                    if len(chunk) >= LONGEST_LINE and not chunk.endswith(b"\n"):
                        raise DataError(
                            f"{path}: a line is longer than {LONGEST_LINE >> 20} MiB. A table has "
                            "an image in each line."
                        )
                _check_text(path, chunk, start=not unpacked)
                unpacked += len(chunk)
                if packed and unpacked > limit:
                    raise DataError(
                        f"{path}: the gzip file unpacks to more than {limit:,} bytes. If that is "
                        "right, unpack the file first."
                    )
                text = kept + chunk.replace(b"\r\n", b"\n").decode("utf-8-sig", "replace")
                if lines := text.rstrip("\n"):
                    yield lines[started:]
                    started = 1  # the next text begins with the line feed of the last line
                kept = text[len(lines) :]
                if len(kept) > CHUNK:
                    raise DataError(f"{path}: it has more than {CHUNK:,} empty lines. Remove them.")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{path} is a damaged gzip file: {reason(error)}. Download or create it again."
            ) from error


def _check_text(path: Path, chunk: bytes, *, start: bool) -> None:
    if b"\0" in chunk:
        what = "UTF-16" if start and chunk[:2] in (b"\xff\xfe", b"\xfe\xff") else "not text"
        raise DataError(f"{path}: it is {what}, but a table is text in UTF-8. Save it as CSV.")
