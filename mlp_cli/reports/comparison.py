"""A comparison of runs for programs: as CSV and as plain data. `comparison_text` is for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp_cli.reports.tables import csv_text
from mlp_cli.runs.comparing import Line

if TYPE_CHECKING:
    from mlp_cli.inference.against import Difference


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


def value_text(value: Any) -> str:
    """Return a value of a configuration on one line, as YAML reads it."""
    return value if isinstance(value, str) else json.dumps(value)


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
