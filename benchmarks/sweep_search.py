"""Compare TPE with median pruning against random search, at equal time of training.

    python benchmarks/sweep_search.py --data data/mnist

Each sweep searches six keys of a small network on held-out images of MNIST, and starts no trial
after `--seconds` of training. The two searches take turns. What counts is the validation error of
the best trial of each sweep, and the median over the repetitions, which differ in the seed of the
search. Needs the extra `sweep`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from lib.command import SETTINGS, data_option, json_option, log
from lib.machine import describe_machine, environment
from lib.processes import run
from lib.tables import table

SEARCHES = {
    "random": {"method": "random", "prune": "none"},
    "tpe, median pruning": {"method": "tpe", "prune": "median"},
}
SPACE: dict[str, Any] = {
    "optimizer.learning_rate": {"low": 1e-3, "high": 3.0, "log": True},
    "optimizer.momentum": {"low": 0.0, "high": 0.99},
    "optimizer.weight_decay": {"low": 1e-6, "high": 1e-2, "log": True},
    "model.activation": ["relu", "tanh", "sigmoid"],
    "regularisation.dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
    "training.batch_size": {"low": 16, "high": 512, "log": True},
}


@dataclass(frozen=True)
class Found:
    """What a sweep found: the best validation error, and how many trials began and were pruned."""

    search: str
    seed: int
    val_error: float
    trials: int
    pruned: int


def search(name: str, seed: int, data: Path, seconds: float, folder: Path) -> Found:
    """Run one sweep."""
    sweep = {
        "config": {
            "data": {"path": str(data.absolute())},
            "model": {"hidden": [64]},
            "training": {"epochs": 5},
        },
        "search": SPACE,
        "trials": 10_000,
        "time_limit": seconds,
        "seed": seed,
        **SEARCHES[name],
    }
    file, out = folder / "sweep.yaml", folder / f"{name}-{seed}"
    file.write_text(json.dumps(sweep))  # which is YAML too
    command = [sys.executable, "-m", "mlp_cli", "sweep", str(file), "--out", str(out)]
    done = run([*command, "--jobs", "1", "--json", "--quiet"], environment(1))
    result = json.loads(done.output)
    begun = result["trials"] - result["not_started"]
    log(f"{name}, seed {seed}: {begun} trials, {100 * result['best']['val_error']:.2f} %")
    return Found(name, seed, result["best"]["val_error"], begun, result["pruned"])


def text(found: list[Found]) -> str:
    """Return a table with a row for each sweep, and the medians."""
    rows = [
        [one.search, str(one.seed), str(one.trials), str(one.pruned), f"{100 * one.val_error:.2f}"]
        for one in found
    ]
    for name in SEARCHES:
        middle = median(one.val_error for one in found if one.search == name)
        rows.append([name, "median", "", "", f"{100 * middle:.2f}"])
    return table(["search", "seed", "trials", "pruned", "best validation error, %"], rows)


@click.command(context_settings=SETTINGS)
@data_option
@click.option("--repeats", type=click.IntRange(1), default=5)
@click.option("--seconds", type=float, default=60.0, help="Time of training for each sweep.")
@json_option
def main(data: Path, repeats: int, seconds: float, as_json: bool) -> None:
    """Compare two searches on held-out images of MNIST."""
    with tempfile.TemporaryDirectory() as folder:
        found = [
            search(name, seed, data, seconds, Path(folder))
            for seed in range(repeats)
            for name in SEARCHES
        ]
    found.sort(key=lambda one: (list(SEARCHES).index(one.search), one.seed))
    plain = {"machine": describe_machine(), "searches": [asdict(one) for one in found]}
    print(json.dumps(plain, indent=2) if as_json else text(found))


if __name__ == "__main__":
    main()
