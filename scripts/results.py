"""The recipes' results: what was published, and what came of ours, seed by seed.

    python scripts/results.py [FOLDER]

reads `result.json` of each run in FOLDER/<recipe>/<seed>, `results` by default, and prints a table
in Markdown. Errors are those on MNIST's test set, in percent: the median over the seeds, the
lowest and the highest, and the 95 % Wilson interval of all seeds' errors together. The published
figure is the one at the head of the recipe.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path

from mlp_cli.metrics import wilson_interval

ROOT = Path(__file__).parent.parent
TEST_IMAGES = 10_000


def published(recipe: str) -> str:
    """Return the error rate that a recipe's head names."""
    head = [line[2:] for line in (ROOT / f"configs/recipes/{recipe}.yaml").read_text().splitlines()]
    found = re.search(r"([\d.]+) % errors", " ".join(head))
    assert found is not None, recipe
    return found[1]


def row(recipe: str, runs: list[Path]) -> list[str]:
    """Return a recipe's cells."""
    results = [json.loads((run / "result.json").read_text()) for run in runs]
    errors = [result["test_errors"] for result in results]
    rates = [100 * wrong / TEST_IMAGES for wrong in errors]
    low, high = (100 * end for end in wilson_interval(sum(errors), TEST_IMAGES * len(errors)))
    return [
        f"[{recipe}](configs/recipes/{recipe}.yaml)",
        published(recipe),
        f"{statistics.median(rates):.2f}",
        f"{min(rates):.2f} to {max(rates):.2f}",
        f"{low:.2f} to {high:.2f}",
        " ".join(run.name for run in runs),
        f"{statistics.median(result['seconds'] for result in results) / 60:.1f}",
    ]


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
    print("| recipe | published % | ours % | range | 95 % interval | seeds | minutes a run |")
    print("|---|---:|---:|---:|---:|---|---:|")
    for recipe in sorted(path for path in folder.iterdir() if path.is_dir()):
        runs = sorted(run.parent for run in recipe.glob("*/result.json"))
        if runs:
            print("| " + " | ".join(row(recipe.name, runs)) + " |")


if __name__ == "__main__":
    main()
