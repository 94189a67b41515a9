"""A comparison of runs for people: as tables that fit a terminal, and as Markdown."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlp_cli.errors import visible
from mlp_cli.reports.comparison import Comparison, value_text
from mlp_cli.reports.tables import NARROWEST, Column, fitted_table, markdown_table
from mlp_cli.runs.comparing import Figure, Line, short_key

LEAST_NAME = 20  # characters that the name of a run keeps if it is shortened
LEAST_P = 1e-6  # smaller p-values are not written out


def comparison_text(comparison: Comparison, width: int) -> str:
    """Return a comparison as tables that fit into `width` columns, with notes about them."""
    folder = common_folder(comparison.lines)
    table, left_out = fitted_table(comparison_columns(comparison, folder), width)
    notes = comparison_notes(comparison)
    if left_out:
        notes.append(f"Left out for the width: {', '.join(left_out)}. --csv has all columns.")
    text = [f"in {visible(folder)}:"] if folder else []
    text += [*table, *_wrapped(notes, width)]
    if comparison.against:
        table, _ = fitted_table(_difference_columns(comparison, folder), width)
        notes = _difference_notes(comparison)
        text += ["", _difference_heading(comparison), *table, *_wrapped(notes, width)]
    return "\n".join(text)


def comparison_markdown(comparison: Comparison) -> str:
    """Return a comparison as tables in Markdown, with notes about them."""
    parts = [markdown_table(comparison_columns(comparison, "")), *comparison_notes(comparison)]
    if comparison.against:
        table = markdown_table(_difference_columns(comparison, ""))
        parts += [_difference_heading(comparison), table, *_difference_notes(comparison)]
    return "\n\n".join(parts)


def _wrapped(notes: Sequence[str], width: int) -> list[str]:
    """Return an empty line and the lines of notes, nothing without notes."""
    lines = [""] if notes else []
    for note in notes:
        lines += textwrap.wrap(note, width, break_long_words=False, break_on_hyphens=False)
    return lines


def comparison_columns(comparison: Comparison, folder: str) -> list[Column]:
    """Return the columns of the main table; the paths are relative to `folder`."""
    lines = comparison.lines
    columns = [
        Column("run", [_name(line, folder) for line in lines], LEAST_NAME, is_number=False),
        Column("state", [line.state for line in lines], is_number=False),
    ]
    columns += [
        Column(heading, [_shown(value) for value in values], NARROWEST, may_go=True)
        for heading, values in _settings(comparison)
    ]
    if any(len(line.runs) > 1 for line in lines):
        columns.append(Column("n", [str(len(line.runs)) for line in lines]))
    columns.append(Column("val error, %", [_percent(line.val_error) for line in lines]))
    if any(line.test_error is not None for line in lines):
        columns.append(Column("test error, %", [_percent(line.test_error) for line in lines]))
    columns.append(Column("time", [duration(line.seconds) for line in lines], may_go=True))
    return columns


def _difference_columns(comparison: Comparison, folder: str) -> list[Column]:
    """Return the columns that say how each line differs from the reference."""
    lines = [line for line in comparison.lines if comparison.difference(line) is not None]
    found = [comparison.against[line.first.path] for line in lines]
    columns = [
        Column("run", [_name(line, folder) for line in lines], LEAST_NAME, is_number=False),
        Column(
            "difference, points",
            [f"{100 * each.error:+.2f}" if each.images else "" for each in found],
        ),
        Column("p", [_p_value(each.p) if each.images else "" for each in found]),
    ]
    if len({each.images for each in found if each.images}) > 1:
        columns.append(Column("images", [each.images or "" for each in found]))
    return [*columns, Column("", [each.verdict for each in found], is_number=False)]


def _p_value(p: float) -> str:
    return f"{p:.2g}" if p >= LEAST_P else f"< {LEAST_P:g}"


def _settings(comparison: Comparison) -> list[tuple[str, list[Any]]]:
    """Return a heading and the value of each line, for each key that differs."""
    lines, keys = comparison.lines, comparison.keys
    names = list(map(short_key, keys))
    return [
        (
            name if names.count(name) == 1 else key,
            [line.first.config.get(key, "") for line in lines],
        )
        for name, key in zip(names, keys, strict=True)
    ]


def _shown(value: Any) -> str:
    """Return a value of a configuration for a cell, a float with four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value_text(value)


def _name(line: Line, folder: str) -> str:
    """Return the name of a line: of several seeds of a trial, the trial's folder."""
    path = _relative(line.first.path, folder)
    if len(line.runs) == 1:
        return path
    if {run.path.parent for run in line.runs} == {line.first.path.parent} and all(
        run.path.name.startswith("seed-") for run in line.runs
    ):
        return _relative(line.first.path.parent, folder)
    return f"{path} +{len(line.runs) - 1}"


def _relative(path: Path, folder: str) -> str:
    return str(path.relative_to(folder)) if folder else str(path)


def common_folder(lines: Sequence[Line]) -> str:
    """Return the folder that all runs lie in, "" if there is none but the working directory."""
    folders = {str(line.first.path.parent) for line in lines}
    if any(line.first.path.name.startswith("seed-") for line in lines):
        folders = {str(line.first.path.parent.parent) for line in lines}
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # of absolute and relative paths
        return ""
    return "" if common in ("", ".", os.sep) else common


def _percent(figure: Figure | None) -> str:
    """Return an error rate for a cell in %, with its deviation or its interval."""
    if figure is None:
        return ""
    text = f"{100 * figure.rate:.2f}"
    if figure.deviation is not None:
        return f"{text} ± {100 * figure.deviation:.2f}"
    if figure.interval is None:
        return text
    low, high = figure.interval
    return f"{text} ({100 * low:.2f}–{100 * high:.2f})"


def duration(seconds: float | None) -> str:
    """Return a time for a cell: seconds, or hours and minutes if it is long."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def comparison_notes(comparison: Comparison) -> list[str]:
    """Return what a reader must know about the figures of the table."""
    lines, notes = comparison.lines, []
    figures = [figure for line in lines for figure in (line.val_error, line.test_error) if figure]
    if any(figure.interval for figure in figures):
        notes.append("In brackets: 95 % interval (Wilson), of one network on these images.")
    if any(figure.deviation is not None for figure in figures):
        notes.append("±: standard deviation over the n seeds.")
    if any(line.val_error and line.state != "finished" for line in lines):
        notes.append("Of a run that is not finished: its best epoch so far.")
    return notes


def _difference_heading(comparison: Comparison) -> str:
    """Return what the differences are from, and on which images."""
    images = {(each.images, each.n) for each in comparison.against.values() if each.images}
    listed = " or ".join(f"{n:,} {name} images" for name, n in sorted(images, reverse=True))
    same = f", on the same {listed}" if images else ""
    return f"against {visible(str(comparison.reference))}{same}:"


def _difference_notes(comparison: Comparison) -> list[str]:
    found = comparison.against.values()
    reasons = dict.fromkeys(each.reason for each in found if not each.images)
    notes = [f"not compared: {visible(reason.removesuffix('.'))}." for reason in reasons]
    if any(each.images for each in found):
        notes.insert(
            0, "p: McNemar's exact test, two-sided. At 0.05 or above: not distinguishable."
        )
    return notes
