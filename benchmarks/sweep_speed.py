"""Measure what `mlp sweep` costs beside its trainings.

    python benchmarks/sweep_speed.py --data data/mnist

Two tables. The first has the time that a trial takes to start: sweeps of many trials and of one
trial, each of a single short epoch, are timed in turns, and the difference is divided by the number
of trials. Beside it stands a process `mlp train` with the same configuration. The second has the
parallel efficiency: how much faster a sweep is with a job on every core than with one job, divided
by the number of jobs; 1 is ideal. Each trial has one thread.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from lib.command import SETTINGS, data_option, json_option, log, repeats_option
from lib.contenders import installed_kernels
from lib.machine import describe_machine, environment
from lib.processes import run
from lib.tables import ratio, table

MLP = (sys.executable, "-m", "mlp_cli")
MANY = 21  # trials of the longer sweep, when the start is measured


@dataclass(frozen=True)
class Start:
    """Median seconds that a trial of a sweep, and a process `mlp train`, take for the same run."""

    kernels: str
    trial: float
    process: float


@dataclass(frozen=True)
class Efficiency:
    """Median seconds of a sweep with one job and with a job on every core."""

    kernels: str
    trial: float
    jobs: int
    alone: float
    together: float

    @property
    def efficiency(self) -> float:
        """The speedup divided by the number of jobs."""
        return self.alone / self.together / self.jobs


class Sweeps:
    """Times sweeps over seeds of the search, on the images in `data`."""

    def __init__(self, data: Path, kernels: str, folder: Path) -> None:
        self._data, self._folder, self._number = data.absolute(), folder, 0
        self._environment = environment(1) | {"MLP_KERNELS": kernels}

    def _config(self, epochs: int, validation: int) -> dict[str, Any]:
        return {
            "data": {"path": str(self._data), "validation": validation, "test": False},
            "model": {"hidden": [32]},
            "training": {"epochs": epochs, "batch_size": 64},
        }

    def sweep(self, trials: int, jobs: int, epochs: int, validation: int) -> float:
        """Return the seconds that a sweep takes."""
        self._number += 1
        rates = {"low": 0.01, "high": 0.1}
        sweep = {
            "config": self._config(epochs, validation),
            "search": {"optimizer.learning_rate": rates},
            "method": "random",
            "trials": trials,
        }
        file, out = self._folder / "sweep.yaml", self._folder / f"sweep-{self._number}"
        file.write_text(json.dumps(sweep))  # which is YAML too
        command = [*MLP, "sweep", str(file), "--out", str(out), "--jobs", str(jobs), "--quiet"]
        return run(command, self._environment).wall

    def process(self, validation: int) -> float:
        """Return the seconds that `mlp train` takes."""
        self._number += 1
        file, out = self._folder / "config.yaml", self._folder / f"run-{self._number}"
        file.write_text(json.dumps(self._config(1, validation)))
        command = [*MLP, "train", str(file), "--out", str(out), "--threads", "1", "--quiet"]
        return run(command, self._environment).wall


def start(sweeps: Sweeps, kernels: str, images: int, repeats: int) -> Start:
    """Measure the start of a trial, which trains on a few images only."""
    validation = images - 64  # one step
    sweeps.sweep(1, 1, 1, validation)  # compiles
    trials, processes = [], []
    for _ in range(repeats):
        many, one = (sweeps.sweep(n, 1, 1, validation) for n in (MANY, 1))
        trials.append((many - one) / (MANY - 1))
        processes.append(sweeps.process(validation))
    return Start(kernels, median(trials), median(processes))


def efficiency(
    sweeps: Sweeps, kernels: str, seconds: float, images: int, repeats: int, jobs: int
) -> Efficiency:
    """Measure sweeps whose trials take about so many seconds each."""
    validation = images // 10
    long, short = (sweeps.sweep(1, 1, epochs, validation) for epochs in (11, 1))
    epochs = max(1, round(seconds / ((long - short) / 10)))
    trials, found = jobs * max(2, round(10 / seconds)), []
    for _ in range(repeats):
        log(f"{kernels}: {trials} trials of {seconds:g} s, {epochs} epochs")
        found.append([sweeps.sweep(trials, n, epochs, validation) for n in (1, jobs)])
    alone, together = (median(column) for column in zip(*found, strict=True))
    return Efficiency(kernels, seconds, jobs, alone, together)


def tables(starts: list[Start], efficiencies: list[Efficiency]) -> str:
    """Return both tables."""
    first = table(
        ["kernels", "trial of a sweep, s", "process mlp train, s"],
        [[each.kernels, f"{each.trial:.3f}", f"{each.process:.3f}"] for each in starts],
    )
    second = table(
        ["kernels", "a trial, s", "one job, s", "jobs", "together, s", "efficiency"],
        [
            [
                each.kernels,
                f"{each.trial:g}",
                f"{each.alone:.1f}",
                str(each.jobs),
                f"{each.together:.1f}",
                ratio(each.efficiency),
            ]
            for each in efficiencies
        ],
    )
    return f"{first}\n\n{second}"


def count_images(data: Path) -> int:
    """Return the number of training images, which stands in the head of the label file."""
    path = next(data.glob("train-labels*"))
    content = path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes())
    return int.from_bytes(content[4:8], "big")


@click.command(context_settings=SETTINGS)
@data_option
@repeats_option
@click.option("--seconds", "lengths", default="1,5,20", help="Lengths of the trials, in seconds.")
@json_option
def main(data: Path, repeats: int, lengths: str, as_json: bool) -> None:
    """Measure the start of a trial, and how well a sweep uses the cores."""
    images, jobs = count_images(data), len(os.sched_getaffinity(0))
    starts, efficiencies = [], []
    with tempfile.TemporaryDirectory() as folder:
        for kernels in installed_kernels():
            place = Path(folder) / kernels
            place.mkdir()
            sweeps = Sweeps(data, kernels, place)
            starts.append(start(sweeps, kernels, images, repeats))
            efficiencies += [
                efficiency(sweeps, kernels, float(seconds), images, repeats, jobs)
                for seconds in lengths.split(",")
                if seconds
            ]
    plain: Mapping[str, Any] = {
        "machine": describe_machine(),
        "starts": [asdict(each) for each in starts],
        "efficiency": [{**asdict(each), "efficiency": each.efficiency} for each in efficiencies],
    }
    print(json.dumps(plain, indent=2) if as_json else tables(starts, efficiencies))


if __name__ == "__main__":
    main()
