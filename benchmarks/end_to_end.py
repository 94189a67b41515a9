"""Measure whole trainings, from the start of the process to a saved model and its accuracy.

    python benchmarks/end_to_end.py --data data/mnist

runs `mlp train` and plain scripts for PyTorch and scikit-learn (`rivals/plain_torch.py`,
`rivals/plain_sklearn.py`) with the same images, network, epochs, minibatch size and update rule.
The default is 784-128-10 for 5 epochs. The programs take turns, and medians over the repetitions
count. The scripts run on one thread and on every core, and the faster counts; `mlp train` chooses
its threads itself.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from lib.command import SETTINGS, data_option, json_option, log, repeats_option
from lib.contenders import installed_kernels
from lib.machine import describe_machine, environment, thread_counts
from lib.processes import Finished, ProcessError, run
from lib.tables import ratio, table
from lib.workload import Workload, workload


@dataclass(frozen=True)
class Program:
    """A program that trains; the path for its model is appended to `command`."""

    name: str
    threads: int | None
    command: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def title(self) -> str:
        """The program's name and threads."""
        return f"{self.name}, threads: {self.threads or 'its own choice'}"


@dataclass(frozen=True)
class Outcome:
    """The medians of a program's runs: seconds, MB, and the accuracy on the test images."""

    name: str
    threads: int | None
    wall: float
    cpu: float
    peak_memory: float
    accuracy: float


def programs(work: Workload, epochs: int, config: Path) -> list[Program]:
    """Return all programs; those that are not installed are reported and left out."""
    ours = [sys.executable, "-m", "mlp_cli", "train", "--json", "--config", str(config), "--out"]
    found = [
        Program(f"mlp train ({name})", None, tuple(ours), environment(MLP_KERNELS=name))
        for name in installed_kernels()
    ]
    options = {
        "--data": work.data,
        "--hidden": work.hidden[0],
        "--batch": work.batch,
        "--epochs": epochs,
        "--learning-rate": work.learning_rate,
    }
    words = [str(word) for item in options.items() for word in item]
    for name, package, script in (
        ("PyTorch script", "torch", "rivals.plain_torch"),
        ("scikit-learn script", "sklearn", "rivals.plain_sklearn"),
    ):
        if importlib.util.find_spec(package) is None:
            log(f"skipped: {name}: {package} is not installed")
            continue
        for threads in thread_counts():
            command = (sys.executable, "-m", script, *words, "--threads", str(threads), "--out")
            found.append(Program(name, threads, command, environment(threads)))
    return found


def race(work: Workload, epochs: int, repeats: int) -> list[Outcome]:
    """Run the programs in turns, every second time in reverse order; return their medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "config.yaml"  # JSON is YAML
        config.write_text(json.dumps(work.config(validation=0, epochs=epochs)))
        runs: list[tuple[Program, list[Finished]]] = [
            (program, []) for program in programs(work, epochs, config)
        ]
        for turn in range(repeats):
            for program, done in runs[:: -1 if turn % 2 else 1]:
                log(f"repetition {turn + 1} of {repeats}: {program.title}")
                done.append(run_and_check(program, folder / "model"))
        return [outcome(program, done) for program, done in runs]


def run_and_check(program: Program, out: Path) -> Finished:
    """Run a program once, check that it saved its model, and remove the model."""
    done = run([*program.command, str(out)], program.environment)
    saved = out / "last.npz" if out.is_dir() else out
    if not saved.exists() or not saved.stat().st_size:
        raise ProcessError(f"{program.title}: saved no model")
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink()
    return done


def outcome(program: Program, runs: Sequence[Finished]) -> Outcome:
    """Return the medians of a program's runs."""
    return Outcome(
        program.name,
        program.threads,
        median(one.wall for one in runs),
        median(one.cpu for one in runs),
        median(one.peak_memory for one in runs),
        median(json.loads(one.output)["test_accuracy"] for one in runs),
    )


def race_table(outcomes: Sequence[Outcome]) -> str:
    """Return the table of all programs, with our time and memory relative to each."""
    mine = outcomes[0]
    return table(
        ["", "threads", "wall s", "CPU s", "peak MB", "accuracy", "our wall ÷", "our memory ÷"],
        [
            [
                one.name,
                str(one.threads or "rule"),
                f"{one.wall:.2f}",
                f"{one.cpu:.2f}",
                f"{one.peak_memory:.0f}",
                f"{100 * one.accuracy:.2f} %",
                ratio(mine.wall / one.wall),
                ratio(mine.peak_memory / one.peak_memory),
            ]
            for one in outcomes
        ],
    )


@click.command(context_settings=SETTINGS)
@data_option
@click.option("--hidden", type=click.IntRange(1), default=128, help="Width of the hidden layer.")
@click.option("--batch", type=click.IntRange(1), default=64)
@click.option("--epochs", type=click.IntRange(1), default=5)
@repeats_option
@json_option
def main(data: Path, hidden: int, batch: int, epochs: int, repeats: int, as_json: bool) -> None:
    """Measure whole trainings, from the start of the process to a saved model."""
    where = describe_machine()
    work = workload("end to end", (hidden,), batch, "sgd").on(data)
    outcomes = race(work, epochs, repeats)
    if as_json:
        found = {"title": work.title, "epochs": epochs, "programs": [*map(asdict, outcomes)]}
        print(json.dumps({"machine": where, **found}, indent=2))
    else:
        print(f"{work.title}, {epochs} epochs\n\n{race_table(outcomes)}")


if __name__ == "__main__":
    main()
