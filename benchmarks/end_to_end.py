"""Measure whole trainings, from the start of the process to a saved model and its accuracy.

    python benchmarks/end_to_end.py --data data/mnist

runs `mlp train` and plain scripts for PyTorch and scikit-learn (`plain_torch.py`,
`plain_sklearn.py`) with the same images, network, epochs, minibatch size and update rule. The
default is 784-128-10 for 5 epochs. The programs take turns, and medians over the repetitions count.
The scripts run on one thread and on every core, and the faster counts; `mlp train` chooses its
threads itself.

    python benchmarks/end_to_end.py --data data/mnist --overhead

measures the cost of `mlp train` on top of its bare training loop, on the networks N, S, M and L:
checkpoints, metrics, validation, a progress bar and the scoring of the test set. It is a share of
the loop's time, without the start-up (loading the data, making the trainer). Both train in turns in
one process (`loop_cost.py`). L takes minutes; `--rows N,S,M` leaves it out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from contenders import HERE, describe_machine, on_threads, thread_counts
from ours import KERNELS, installed_kernels, settings
from processes import Finished, ProcessError, run
from tables import count, percent, ratio, table
from workload import ROWS, Workload, workload

from mlp_cli.compute.select import THREAD_VARIABLES

# For --overhead: the epochs of each row, and the largest cost that is accepted.
EPOCHS = {"N": 20, "S": 20, "M": 20, "L": 10}
ALLOWED = {"N": 0.10, "S": 0.10, "M": 0.05, "L": 0.05}
VALIDATION = 5000


def log(message: str) -> None:
    """Print a line of progress to stderr."""
    print(message, file=sys.stderr, flush=True)


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


def own_environment(kernels: str) -> dict[str, str]:
    """Return an environment in which `mlp train` chooses its threads by its rule."""
    free = {key: value for key, value in os.environ.items() if key not in THREAD_VARIABLES}
    return {**free, **KERNELS[kernels]}


def write_config(path: Path, work: Workload, *, validation: int, epochs: int) -> Path:
    """Write a workload as a configuration file; JSON is YAML."""
    path.write_text(json.dumps(settings(work, validation=validation, epochs=epochs)))
    return path


def train_command(config: Path) -> tuple[str, ...]:
    """Return the `mlp train` command of this interpreter, without the value of `--out`."""
    return (sys.executable, "-m", "mlp_cli", "train", "--json", "--config", str(config), "--out")


def programs(work: Workload, epochs: int, config: Path) -> list[Program]:
    """Return all programs; those that are not installed are reported and left out."""
    found = [
        Program(f"mlp train ({name})", None, train_command(config), own_environment(name))
        for name in installed_kernels()
    ]
    options = {
        "--data": work.data,
        "--hidden": work.hidden[0],
        "--batch": work.batch,
        "--epochs": epochs,
        "--learning-rate": work.learning_rate,
    }
    for name, package, script in (
        ("PyTorch script", "torch", "plain_torch.py"),
        ("scikit-learn script", "sklearn", "plain_sklearn.py"),
    ):
        if importlib.util.find_spec(package) is None:
            log(f"skipped: {name}: {package} is not installed")
            continue
        for threads in thread_counts():
            words = [str(word) for item in options.items() for word in item]
            command = (sys.executable, str(HERE / script), *words, "--threads", str(threads))
            found.append(Program(name, threads, (*command, "--out"), on_threads(threads)))
    return found


def race(work: Workload, epochs: int, repeats: int) -> list[Outcome]:
    """Run the programs in turns, every second time in reverse order; return their medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_config(folder / "config.yaml", work, validation=0, epochs=epochs)
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


@dataclass(frozen=True)
class Overhead:
    """The extra time of `mlp train` as shares of its bare loop's time; medians of all turns.

    Attributes
    ----------
    loop
        The extra time of the training loop inside `mlp train`.
    validation
        The time of validation in all epochs.
    rest
        The time of saving, metrics, progress and the scoring of the test set.
    cost
        The extra time of all of these together.
    """

    row: str
    kernels: str
    epochs: int
    bare_rate: float
    rate: float
    loop: float
    validation: float
    rest: float
    cost: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "allowed": ALLOWED[self.row]}


def overhead(work: Workload, kernels: str, repeats: int) -> Overhead:
    """Run the bare loop and the complete `mlp train` in turns on one workload."""
    log(f"{work.name}, {kernels} kernels, {repeats} repetitions")
    epochs = EPOCHS[work.name]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "config.yaml"
        config = write_config(path, work, validation=VALIDATION, epochs=epochs)
        command = [sys.executable, str(HERE / "loop_cost.py"), str(config), str(repeats)]
        turns = json.loads(run(command, own_environment(kernels), terminal=True).output)

    def middle(share: Callable[[Mapping[str, float]], float]) -> float:
        return median(share(turn) for turn in turns)

    return Overhead(
        work.name,
        kernels,
        epochs,
        bare_rate=middle(lambda t: t["samples"] / t["bare"]),
        rate=middle(lambda t: t["samples"] / t["training"]),
        loop=middle(lambda t: t["training"] / t["bare"] - 1),
        validation=middle(lambda t: t["validation"] / t["bare"]),
        rest=middle(lambda t: (t["whole"] - t["training"] - t["validation"]) / t["bare"]),
        cost=middle(lambda t: t["whole"] / t["bare"] - 1),
    )


def overhead_table(found: Sequence[Overhead]) -> str:
    """Return the table of the cost of `mlp train` on each row."""
    head = ["row", "kernels", "epochs", "bare images/s", "images/s", "loop", "validation", "rest"]
    return table(
        [*head, "cost", "allowed"],
        [
            [
                one.row,
                one.kernels,
                str(one.epochs),
                count(one.bare_rate),
                count(one.rate),
                f"{100 * one.loop:+.1f} %",
                f"{100 * one.validation:+.1f} %",
                f"{100 * one.rest:+.1f} %",
                f"{100 * one.cost:.1f} %",
                percent(ALLOWED[one.row]),
            ]
            for one in found
        ],
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("data/mnist"),
    help="Folder of MNIST's four files, raw or gzipped.",
)
@click.option("--hidden", type=click.IntRange(1), default=128, help="Width of the hidden layer.")
@click.option("--batch", type=click.IntRange(1), default=64)
@click.option("--epochs", type=click.IntRange(1), default=5)
@click.option("--overhead", "by_row", is_flag=True, help="Measure `mlp train` over its loop.")
@click.option("--rows", default=",".join(EPOCHS), help="Rows of --overhead.")
@click.option("--repeats", type=click.IntRange(1), default=3)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and no table.")
def main(
    data: Path,
    hidden: int,
    batch: int,
    epochs: int,
    by_row: bool,
    rows: str,
    repeats: int,
    as_json: bool,
) -> None:
    """Measure whole trainings, from the start of the process to a saved model."""
    where = describe_machine()
    if where["load_before"] > 0.5:
        log(
            f"The machine is not quiet (load {where['load_before']:.1f}): do not trust the figures."
        )
    if by_row:
        if {*rows.split(",")} - {*EPOCHS}:
            raise click.BadParameter(f"choose from {', '.join(EPOCHS)}", param_hint="--rows")
        costs = [
            overhead(ROWS[row].on(data), kernels, repeats)
            for row in rows.split(",")
            for kernels in installed_kernels()
        ]
        text = overhead_table(costs)
        plain: dict[str, Any] = {"overhead": [one.to_dict() for one in costs]}
    else:
        work = workload("end to end", (hidden,), batch, "sgd").on(data)
        outcomes = race(work, epochs, repeats)
        text = f"{work.title}, {epochs} epochs\n\n{race_table(outcomes)}"
        plain = {
            "title": work.title,
            "epochs": epochs,
            "programs": [asdict(one) for one in outcomes],
        }
    print(json.dumps({"machine": where, **plain}, indent=2) if as_json else text)


if __name__ == "__main__":
    main()
