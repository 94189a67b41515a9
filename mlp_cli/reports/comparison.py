"""A comparison of runs for people and programs: as text, Markdown, CSV and plain data."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp_cli.errors import visible
from mlp_cli.reports.tables import NARROWEST, Column, csv_text, fitted_table, markdown_table
from mlp_cli.runs.comparing import Figure, Line, short_key

if TYPE_CHECKING:
    from mlp_cli.inference.against import Difference

WIDEST_NAME = 20  # characters of a run's name that are not left out for more columns


@dataclass(frozen=True)
class Comparison:
    """Lines, the keys that differ between them, and how each differs from a reference.

    `reference` is the folder of the run that the others are compared with, None without one.
    `against` has the difference of each other run, by its folder.
    """

    lines: Sequence[Line]
    keys: Sequence[str]
    reference: Path | None
    against: Mapping[Path, Difference]

    def difference(self, line: Line) -> Difference | None:
        """Return how a line differs from the reference, None of the reference itself."""
        return self.against.get(line.first.path)


def comparison_text(comparison: Comparison, width: int) -> str:
    """Return a comparison as a table that fits into `width` columns, with notes about it."""
    folder = _common_folder(comparison.lines)
    table, left_out = fitted_table(_columns(comparison, folder), width)
    notes = _notes(comparison)
    if left_out:
        notes.append(f"Left out for the width: {', '.join(left_out)}. --csv has all columns.")
    text = [f"in {visible(folder)}:"] if folder else []
    text += [*table, ""] if notes else table
    for note in notes:
        text += textwrap.wrap(note, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(text)


def comparison_markdown(comparison: Comparison) -> str:
    """Return a comparison as a table in Markdown, with notes about it."""
    table = markdown_table(_columns(comparison, ""))
    return "\n\n".join([table, *(note.replace("*", r"\*") for note in _notes(comparison))])


def comparison_csv(comparison: Comparison) -> str:
    """Return a comparison as CSV, a line for each of its lines; rates are fractions."""
    rows = [_record(comparison, line) for line in comparison.lines]
    return csv_text([list(rows[0]), *(list(row.values()) for row in rows)])


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data, ready for JSON; rates are fractions."""
    return {
        "keys": list(comparison.keys),
        "against": None if comparison.reference is None else str(comparison.reference),
        "lines": [_plain(comparison, line) for line in comparison.lines],
    }


def _columns(comparison: Comparison, folder: str) -> list[Column]:
    lines = comparison.lines
    columns = [
        Column("run", [_name(line, folder) for line in lines], WIDEST_NAME, is_number=False),
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
    if comparison.reference is not None:
        columns += _against_columns(comparison)
    columns.append(Column("time", [duration(line.seconds) for line in lines], may_go=True))
    return columns


def _against_columns(comparison: Comparison) -> list[Column]:
    found = [comparison.difference(line) for line in comparison.lines]
    compared = [each if each is not None and each.images else None for each in found]
    columns = [
        Column("difference", [f"{100 * each.error:+.2f}" if each else "" for each in compared]),
        Column("p", [f"{each.p:.2g}" if each else "" for each in compared]),
    ]
    if len({each.images for each in compared if each}) > 1:
        columns.append(Column("images", [str(each.images) if each else "" for each in compared]))
    verdicts = [each.verdict if each else "the reference" for each in found]
    return [*columns, Column("", verdicts, is_number=False)]


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


def value_text(value: Any) -> str:
    """Return a value of a configuration on one line, as YAML reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def _name(line: Line, folder: str) -> str:
    path = _relative(line.first.path, folder)
    if len(line.runs) == 1:
        return path
    if {run.path.parent for run in line.runs} == {line.first.path.parent} and all(
        run.path.name.startswith("seed-") for run in line.runs
    ):
        return _relative(line.first.path.parent, folder)
    return f"{path} +{len(line.runs) - 1}"


def _relative(path: Path, folder: str) -> str:
    return os.path.relpath(path, folder) if folder else str(path)


def _common_folder(lines: Sequence[Line]) -> str:
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


def _notes(comparison: Comparison) -> list[str]:
    """Return what a reader must know about the figures of the table."""
    lines, notes = comparison.lines, []
    figures = [figure for line in lines for figure in (line.val_error, line.test_error) if figure]
    if any(figure.interval for figure in figures):
        notes.append("In brackets: 95 % interval (Wilson), of one network on these images.")
    if any(figure.deviation is not None for figure in figures):
        notes.append("±: standard deviation over the n seeds.")
    if any(line.val_error and line.state != "finished" for line in lines):
        notes.append("Of a run that is not finished: its best epoch so far.")
    if comparison.reference is not None:
        notes += _against_notes(comparison)
    return notes


def _against_notes(comparison: Comparison) -> list[str]:
    found = [each for each in map(comparison.difference, comparison.lines) if each]
    images = {(each.images, each.n) for each in found if each.images}
    listed = " or ".join(f"{n:,} {name} images" for name, n in sorted(images, reverse=True))
    notes = []
    if images:
        notes.append(
            f"difference: of the error from that of {visible(str(comparison.reference))} on the "
            f"same {listed}, in points."
        )
        notes.append("p: McNemar's exact test, two-sided; not distinguishable if p ≥ 0.05.")
    reasons = dict.fromkeys(each.reason for each in found if not each.images)
    return notes + [f"not compared: {visible(reason)}." for reason in reasons]


def _record(comparison: Comparison, line: Line) -> dict[str, Any]:
    """Return the cells of a line for CSV, by their headings."""
    plain = _plain(comparison, line)
    record = {"run": plain["run"], "state": line.state, "n": len(line.runs)}
    for key in comparison.keys:
        record[key] = value_text(line.first.config.get(key, ""))
    for name in ("val_error", "test_error"):
        low, high = plain[f"{name}_ci95"] or (None, None)
        record |= {name: plain[name], f"{name}_low": low, f"{name}_high": high}
        record[f"{name}_sd"] = plain[f"{name}_sd"]
    record |= {"epochs": plain["epochs"], "seconds": plain["seconds"]}
    if comparison.reference is not None:
        found = plain["difference"] or {}
        for name in ("images", "n", "error", "only_reference", "only_this", "p", "verdict"):
            record[f"against_{name}"] = found.get(name)
    return {**record, "reason": line.first.reason}


def _plain(comparison: Comparison, line: Line) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "run": str(line.first.path),
        "runs": [str(run.path) for run in line.runs],
        "state": line.state,
        "seeds": list(line.seeds),
        "config": {
            key: line.first.config[key] for key in comparison.keys if key in line.first.config
        },
    }
    for name, figure in {"val_error": line.val_error, "test_error": line.test_error}.items():
        plain[name] = figure.rate if figure else None
        plain[f"{name}_ci95"] = list(figure.interval) if figure and figure.interval else None
        plain[f"{name}_sd"] = figure.deviation if figure else None
    epochs = {run.epochs for run in line.runs}
    plain["epochs"] = line.first.epochs if len(epochs) == 1 else None
    plain["seconds"] = line.seconds
    plain["reason"] = line.first.reason
    if comparison.reference is not None:
        found = comparison.difference(line)
        plain["difference"] = None
        if found is not None:
            error = found.error if found.images else None
            plain["difference"] = {**found._asdict(), "error": error, "verdict": found.verdict}
            if found.images is None:
                plain["difference"]["p"] = None
    return plain
