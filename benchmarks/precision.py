"""Compare training in bfloat16 with training in float32: errors on held-out images, and speed.

    python benchmarks/precision.py --data data/mnist

trains each network twice with each seed, with `training.dtype` float32 and bfloat16 in turn, on
50,000 images. The errors are those on the other 10,000, averaged over the last 5 epochs. The test
images are not read. The speed is that of training alone, as the ratio of the two trainings with the
same seed. L is trained on a quarter of the images for one epoch, so its errors say little.

Needs the extra `fast`, and a processor with AVX-512 BF16.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import click
import yaml
from lib.command import SETTINGS, data_option, json_option, log
from lib.machine import describe_machine, environment, thread_counts
from lib.processes import run
from lib.tables import ratio, table
from lib.workload import ROWS

from mlp_cli import load_config

DTYPES = ("float32", "bfloat16")
HELD_OUT, LAST = 10_000, 5
EPOCHS, PART = 10, 12_800
RECIPE = Path(__file__).parents[1] / "configs" / "recipes" / "simard-800-elastic.yaml"
CHOICES = ("S", "M", "L", RECIPE.stem)


@dataclass(frozen=True)
class Pair:
    """Two trainings with one seed, in float32 and in bfloat16.

    `errors` are those of 10,000 held-out images, and `speeds` are images per second.
    """

    row: str
    seed: int
    errors: tuple[float, float]
    speeds: tuple[float, float]


def configuration(row: str, data: Path) -> dict[str, Any]:
    """Return the configuration of a row, with held-out images."""
    found = load_config(RECIPE).to_dict()
    if row in ROWS:
        epochs = 1 if row == "L" else EPOCHS
        found = ROWS[row].on(data).config(validation=HELD_OUT, epochs=epochs)
    images = {"path": str(data.absolute()), "validation": HELD_OUT, "test": False}
    found["data"] |= images | ({"limit": PART} if row == "L" else {})
    return found


def measure(row: str, seed: int, data: Path, threads: int) -> Pair:
    """Train both with one seed."""
    errors, speeds, text = [], [], yaml.safe_dump(configuration(row, data))
    for dtype in DTYPES:
        with tempfile.TemporaryDirectory() as folder:
            file, out = Path(folder) / "config.yaml", Path(folder) / "run"
            file.write_text(text)
            command = [sys.executable, "-m", "mlp_cli", "train", str(file), "--out", str(out)]
            changes = ["--set", f"seed={seed}", "--set", f"training.dtype={dtype}"]
            run([*command, *changes, "--quiet"], environment(threads, MLP_KERNELS="fast"))
            metrics = [json.loads(line) for line in (out / "metrics.jsonl").open()]
            result = json.loads((out / "result.json").read_text())
        errors.append(HELD_OUT * (1 - mean(epoch["val_accuracy"] for epoch in metrics[-LAST:])))
        speeds.append(result["samples_per_second"])
    log(f"{row}, seed {seed}: {errors[0]:.1f} and {errors[1]:.1f} errors")
    return Pair(row, seed, (errors[0], errors[1]), (speeds[0], speeds[1]))


def lines(rows: list[str], pairs: list[Pair]) -> Iterator[list[str]]:
    """Yield the lines of the table."""
    for row in rows:
        found = [pair for pair in pairs if pair.row == row]
        more = [pair.errors[1] - pair.errors[0] for pair in found]
        speeds = [pair.speeds[1] / pair.speeds[0] for pair in found]
        error = f" ± {stdev(more) / len(more) ** 0.5:.1f}" if len(more) > 1 else ""
        yield [
            row,
            *(f"{mean(pair.errors[i] for pair in found):.1f}" for i in (0, 1)),
            f"{mean(more):+.1f}{error}",
            ratio(median(speeds)) + f" ({ratio(min(speeds))} to {ratio(max(speeds))})",
        ]


@click.command(context_settings=SETTINGS)
@data_option
@click.option("--rows", default=",".join(CHOICES), help="Networks, with commas between them.")
@click.option("--seeds", type=click.IntRange(1), default=5, help="Number of seeds.")
@click.option("--threads", type=click.IntRange(1), default=thread_counts()[-1])
@json_option
def main(data: Path, rows: str, seeds: int, threads: int, as_json: bool) -> None:
    """Compare bfloat16 with float32."""
    wanted = rows.split(",")
    for row in wanted:
        if row not in CHOICES:
            raise click.UsageError(f"There is no row {row}. Give some of {', '.join(CHOICES)}.")
    machine = describe_machine()
    pairs = [measure(row, seed, data, threads) for row in wanted for seed in range(seeds)]
    plain = {"machine": machine, "threads": threads, "pairs": [asdict(pair) for pair in pairs]}
    head = ["row", "errors, float32", "bfloat16", "more errors", "speed, ÷ float32"]
    print(json.dumps(plain, indent=2) if as_json else table(head, list(lines(wanted, pairs))))


if __name__ == "__main__":
    main()
