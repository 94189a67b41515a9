"""Measure the cost of `mlp train` on top of its training loop.

    python benchmarks/overhead.py --data data/mnist

runs `mlp train` on the networks N, S, M and L, on a terminal, with validation after each epoch.
Everything is compared with the time of the loop itself, from the shuffle to the last update of each
epoch: validation, and the rest (checkpoints, metrics, the progress bar, and the scoring of the test
set). The start-up, which loads the data and the kernels, is reported in seconds. It ends when
`env.json` is written. L takes minutes; `--rows N,S,M` leaves it out.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from statistics import median

import click
from lib.command import SETTINGS, data_option, json_option, log, repeats_option
from lib.contenders import installed_kernels
from lib.images import training_images
from lib.machine import describe_machine, environment
from lib.processes import run
from lib.tables import count, percent, table
from lib.workload import ROWS, Workload

from mlp_cli import Run

# The epochs of each row, and the largest cost that is accepted.
EPOCHS = {"N": 20, "S": 20, "M": 20, "L": 10}
ALLOWED = {"N": 0.10, "S": 0.10, "M": 0.05, "L": 0.05}
VALIDATION = 5000


@dataclass(frozen=True)
class Overhead:
    """The time of one run: `validation`, `rest` and `cost`, their sum, as shares of the loop's."""

    start_up: float
    rate: float
    validation: float
    rest: float
    cost: float


def train(config: Path, kernels: str, images: int) -> Overhead:
    """Train a configuration by `mlp train`; each epoch has so many images."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "mlp_cli", "train", "--config", str(config)]
        run([*command, "--out", str(out)], environment(MLP_KERNELS=kernels), terminal=True)
        begun, ended = ((out / name).stat().st_mtime for name in ("env.json", "result.json"))
        metrics, result = Run(out).metrics, Run(out).result
    assert result is not None
    loop = sum(images / epoch["samples_per_second"] for epoch in metrics)
    validated = sum(epoch["seconds"] for epoch in metrics)
    whole = ended - begun
    return Overhead(
        start_up=result["seconds"] - whole,
        rate=result["samples_per_second"],
        validation=validated / loop - 1,
        rest=(whole - validated) / loop,
        cost=whole / loop - 1,
    )


def medians(runs: list[Overhead]) -> Overhead:
    """Return the median of each figure over several runs."""
    return Overhead(*map(median, zip(*map(astuple, runs), strict=True)))


def measure(work: Workload, kernels: str, repeats: int) -> Overhead:
    """Return the medians over several runs of a workload."""
    log(f"{work.name}, {kernels} kernels, {repeats} repetitions")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"  # JSON is YAML
        settings = work.config(validation=VALIDATION, epochs=EPOCHS[work.name])
        config.write_text(json.dumps(settings))
        images = training_images(Path(work.data)) - VALIDATION
        return medians([train(config, kernels, images) for _ in range(repeats)])


@click.command(context_settings=SETTINGS)
@data_option
@click.option("--rows", default=",".join(EPOCHS), help=f"Some of {', '.join(EPOCHS)}.")
@repeats_option
@json_option
def main(data: Path, rows: str, repeats: int, as_json: bool) -> None:
    """Measure the cost of `mlp train` on top of its training loop."""
    if {*rows.split(",")} - {*EPOCHS}:
        raise click.BadParameter(f"choose from {', '.join(EPOCHS)}", param_hint="--rows")
    where = describe_machine()
    found = {
        (row, kernels): measure(ROWS[row].on(data), kernels, repeats)
        for row in rows.split(",")
        for kernels in installed_kernels()
    }
    if as_json:
        plain = [
            {"row": row, "kernels": kernels, "epochs": EPOCHS[row], **asdict(one)}
            | {"allowed": ALLOWED[row]}
            for (row, kernels), one in found.items()
        ]
        print(json.dumps({"machine": where, "overhead": plain}, indent=2))
        return
    head = ["row", "kernels", "epochs", "start-up s", "images/s", "validation", "rest", "cost"]
    rows_of_table = [
        [
            row,
            kernels,
            str(EPOCHS[row]),
            f"{one.start_up:.2f}",
            count(one.rate),
            f"{100 * one.validation:.1f} %",
            f"{100 * one.rest:.1f} %",
            f"{100 * one.cost:.1f} %",
            percent(ALLOWED[row]),
        ]
        for (row, kernels), one in found.items()
    ]
    print(table([*head, "allowed"], rows_of_table))


if __name__ == "__main__":
    main()
