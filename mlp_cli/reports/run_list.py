"""What is in a folder of runs: as text and as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlp_cli.errors import visible
from mlp_cli.reports.comparison import value_text
from mlp_cli.reports.comparison_text import duration
from mlp_cli.reports.tables import NARROWEST, Column, fitted_table
from mlp_cli.runs.comparing import short_key
from mlp_cli.runs.listing import ListedRun


@dataclass(frozen=True)
class ListEntry:
    """A run, when it was last written to, and the keys that differ from their defaults.

    `written` is in seconds since 1970, None if it is not known.
    """

    run: ListedRun
    written: float | None
    changed: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as plain data, ready for JSON. Rates are fractions."""
        run = self.run
        return {
            "run": str(run.path),
            "state": run.state,
            "written": None if self.written is None else _local(self.written).isoformat(),
            "changed": self.changed,
            "val_accuracy": run.val_accuracy,
            "epochs": run.epochs,
            "seconds": run.seconds,
            "reason": run.reason,
        }


def run_list_text(entries: Sequence[ListEntry], folder: Path, width: int) -> str:
    """Return a table of runs that fits into `width` columns; paths are relative to `folder`.

    Below each run stand the keys that differ from their defaults.
    """
    runs = [entry.run for entry in entries]
    best = ["" if run.val_accuracy is None else f"{100 * run.val_accuracy:.2f} %" for run in runs]
    columns = [
        Column(
            "run", [str(run.path.relative_to(folder)) for run in runs], NARROWEST, is_number=False
        ),
        Column("state", [run.state for run in runs], is_number=False),
        Column("written", [_shown_time(entry.written) for entry in entries], is_number=False),
        Column("validation", best),
        Column("time", [duration(run.seconds) for run in runs]),
    ]
    (heading, *rows), _ = fitted_table(columns, width)
    lines = [heading]
    for row, entry in zip(rows, entries, strict=True):
        lines.append(row)
        lines += textwrap.wrap(
            visible(_shown(entry.changed)),
            width,
            initial_indent="  ",
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _shown(changed: Mapping[str, Any]) -> str:
    return " ".join(f"{short_key(key)}={value_text(value)}" for key, value in changed.items())


def _shown_time(written: float | None) -> str:
    return "" if written is None else f"{_local(written):%Y-%m-%d %H:%M}"


def _local(written: float) -> datetime:
    return datetime.fromtimestamp(round(written)).astimezone()
