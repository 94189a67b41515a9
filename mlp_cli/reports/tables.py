"""Tables of text: fitted to a width, as Markdown, or as CSV. Control characters are escaped."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from mlp_cli.errors import visible

NARROWEST = 8  # characters that a cell keeps if it is shortened
GAP = "  "


class Column(NamedTuple):
    """A column of a table: its heading, its cells, and how it may be made narrower.

    Long cells may lose their middle until they have `least` characters, None if they must stay as
    they are. `may_go` says whether the whole column may be left out.
    """

    heading: str
    cells: Sequence[str]
    least: int | None = None
    may_go: bool = False
    is_number: bool = True  # aligned to the right


def fitted_table(columns: Sequence[Column], width: int) -> tuple[list[str], list[str]]:
    """Return the lines of a table, and the headings of columns that had to be left out.

    Long cells are shortened first, the widest column first. If that is not enough, columns that may
    go are left out, from the last on. A table that cannot be narrower is wider than `width`.
    """
    kept = [column._replace(cells=list(map(visible, column.cells))) for column in columns]
    left_out: list[str] = []
    while True:
        widths = _widths(kept, width)
        if _total(widths) <= width or not any(column.may_go for column in kept):
            break
        last = max(number for number, column in enumerate(kept) if column.may_go)
        left_out.insert(0, kept.pop(last).heading)
    rows = zip(*([column.heading, *column.cells] for column in kept), strict=True)
    return [_row(row, kept, widths) for row in rows], left_out


def markdown_table(columns: Sequence[Column]) -> str:
    """Return a table in Markdown."""
    rows = [
        [column.heading for column in columns],
        ["---:" if column.is_number else "---" for column in columns],
        *zip(*(column.cells for column in columns), strict=True),
    ]
    lines = (" | ".join(visible(cell).replace("|", r"\|") for cell in row) for row in rows)
    return "\n".join(f"| {line} |" for line in lines)


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as CSV, with nothing in place of None."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([visible(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return the width of each column, no wider together than `width` if shortening suffices."""
    widths = [max(map(len, [column.heading, *column.cells])) for column in columns]
    spare = [w - (w if c.least is None else c.least) for w, c in zip(widths, columns, strict=True)]
    for _ in range(_total(widths) - width):  # one character at a time
        widest = max(range(len(widths)), key=lambda n: (spare[n] > 0, widths[n]))
        if spare[widest] <= 0:
            break
        widths[widest] -= 1
        spare[widest] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _row(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    texts = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        text = _shortened(cell, width)
        texts.append(text.rjust(width) if column.is_number else text.ljust(width))
    return GAP.join(texts).rstrip()


def _shortened(text: str, width: int) -> str:
    """Return a text without its middle if it is too long: paths often differ at their ends."""
    if len(text) <= width:
        return text
    start = width // 3
    return f"{text[:start]}…{text[start + 1 - width :]}"
