"""What the page of several runs says, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mlp_cli.errors import StorageError
from mlp_cli.reports.comparison import Comparison
from mlp_cli.reports.comparison_text import common_folder, comparison_columns, comparison_notes
from mlp_cli.reports.page.pictures import RANKS, Curve, draw_curves, draw_parallel
from mlp_cli.reports.tables import Column
from mlp_cli.runs.comparing import Line, differing_keys, make_lines, sort_lines
from mlp_cli.runs.listing import ListedRun
from mlp_cli.runs.records import read_metrics

MOST_LINES = 200  # of the table and the charts: the first of the table
MOST_KEYS = 8  # axes of the parallel coordinates
MOST_NAMES = 3  # paths in the title
MOST_FAULTS = 20  # damaged or failed runs that are named


class ComparisonContents(NamedTuple):
    """What the page of several runs says.

    `colours` are the names of the lines' colours, by which the table and the charts belong
    together. A chart is None if there is nothing to draw.
    """

    title: str
    words: str
    notes: Sequence[str]
    columns: Sequence[Column]
    colours: Sequence[str]
    curves: str | None
    coordinates: str | None
    faults: Sequence[ListedRun]


def comparison_contents(paths: Sequence[Path], runs: Sequence[ListedRun]) -> ComparisonContents:
    """Gather what the page of the runs in `paths` says: the same lines as `mlp compare` has."""
    lines = make_lines(runs)
    keys = differing_keys(lines)
    lines = sort_lines(lines, "val_error")
    faults = [run for run in runs if run.reason]
    notes = []
    if len(lines) > MOST_LINES:
        notes.append(f"Only the first {MOST_LINES} of {len(lines):,} lines are here.")
        lines = lines[:MOST_LINES]
    if len(faults) > MOST_FAULTS:
        notes.append(f"Only {MOST_FAULTS} of {len(faults):,} damaged or failed runs are named.")
    comparison, folder = Comparison(lines, keys, None, {}), common_folder(lines)
    colours = _colours(lines)
    axes = [key for key in keys if key != "seed"]
    if len(axes) > MOST_KEYS:
        notes.append(
            f"Of {len(axes)} keys that differ, the first {MOST_KEYS} have an axis in the chart."
        )
    return ComparisonContents(
        _title(paths),
        _words(runs, lines),
        [*comparison_notes(comparison), *notes],
        comparison_columns(comparison, folder),
        colours,
        _curves(lines, colours),
        _coordinates(lines, axes[:MOST_KEYS], colours),
        faults[:MOST_FAULTS],
    )


def _title(paths: Sequence[Path]) -> str:
    names = ", ".join(map(str, paths[:MOST_NAMES]))
    left = len(paths) - MOST_NAMES
    return f"{names} and {left:,} more" if left > 0 else names


def _words(runs: Sequence[ListedRun], lines: Sequence[Line]) -> str:
    """Return how many runs there are, in which states, and which error is the lowest."""
    states = Counter(run.state for run in runs)
    counts = ", ".join(f"{n:,} {state}" for state, n in states.most_common())
    words = f"{len(runs):,} runs: {counts}."
    best = lines[0]
    if best.val_error is not None and best.state == "finished":
        words += f" The lowest validation error is {100 * best.val_error.rate:.2f} %."
        if len(lines) > 1:
            words += (
                " It was chosen as the lowest, so it is better by chance than that of new images."
            )
    return words


def _colours(lines: Sequence[Line]) -> list[str]:
    """Return the name of each line's colour, by the rank of its validation error."""
    errors = sorted({line.val_error.rate for line in lines if line.val_error is not None})
    colours = {
        error: f"rank{round((RANKS - 1) * rank / max(1, len(errors) - 1))}"
        for rank, error in enumerate(errors)
    }
    return ["muted" if line.val_error is None else colours[line.val_error.rate] for line in lines]


def _curves(lines: Sequence[Line], colours: Sequence[str]) -> str | None:
    """Draw the validation error of every run by epoch, the lowest on top."""
    curves = []
    for line, colour in zip(lines, colours, strict=True):
        for run in line.runs:
            if run.val_accuracy is None:  # it has no curve, or its files are damaged
                continue
            try:
                records = read_metrics(run.path / "metrics.jsonl")
            except StorageError:  # only its metrics are damaged, and its result is there
                continue
            records = [record for record in records if record["val_accuracy"] is not None]
            if records:
                epochs = [record["epoch"] for record in records]
                errors = [100 * (1 - record["val_accuracy"]) for record in records]
                curves.append(Curve("", colour, epochs, errors))
    if not curves:
        return None
    label = f"Validation error in percent by epoch, of {len(curves):,} runs"
    return draw_curves("curves", label, curves[::-1])


def _coordinates(lines: Sequence[Line], keys: Sequence[str], colours: Sequence[str]) -> str | None:
    """Draw the lines across their keys and the error, the lowest error on top."""
    known = {line: of for line, of in zip(lines, colours, strict=True) if line.val_error}
    if not known or not keys:
        return None
    label = f"Parallel coordinates of {', '.join(keys)} and the validation error"
    return draw_parallel("keys", label, [*known][::-1], keys, [*known.values()][::-1])
