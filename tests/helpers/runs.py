"""Reading and comparing the folders of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mlp_cli.storage.checkpoint import load_checkpoint


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def timeless(value: Any) -> Any:
    """Return the value without the keys that depend on the clock."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if "second" not in k}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def assert_same_run(one: Path, other: Path) -> None:
    """Check that two runs are equal bit for bit, except for their times."""
    assert timeless(records(one)) == timeless(records(other))
    results = [json.loads((run / "result.json").read_text()) for run in (one, other)]
    assert timeless(results[0]) == timeless(results[1])
    for name in ("best.npz", "last.npz"):
        with np.load(one / name) as a, np.load(other / name) as b:
            assert a.files == b.files
            for member in set(a.files) - {"header", "digest"}:
                assert a[member].tobytes() == b[member].tobytes(), (name, member)


def assert_equal_position(one: Path, other: Path) -> None:
    """Check that two runs ended at the same place, and chose the same epoch as the best."""
    for name in ("best.npz", "last.npz"):
        states = [load_checkpoint(run / name).header["state"] for run in (one, other)]
        assert timeless(states[0]) == timeless(states[1]), name
