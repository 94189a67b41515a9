"""Compare the complete `mlp train`, without its start-up, with its bare training loop.

    python benchmarks/loop_cost.py config.yaml 3

trains the configuration 3 times in both ways, alternating which is first, on the threads that `mlp
train` would choose. It prints one JSON list: for each turn the seconds of the bare loop, and the
seconds of the complete training with checkpoints, metrics, validation, progress and the scoring of
the test set. Both run in one process, so that start-up times and the placement of the process in
memory do not add to the difference.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ours import fix_threads, train_epoch

from mlp_cli.config.load import load_config
from mlp_cli.runs.progress import TerminalObserver

if TYPE_CHECKING:
    from mlp_cli.config.schema import Config
    from mlp_cli.data.dataset import Dataset
    from mlp_cli.training.trainer import Trainer


def bare(trainer: Trainer) -> float:
    """Run the bare training loop to the end; return the seconds."""
    started = time.perf_counter()
    while not trainer.finished:
        train_epoch(trainer)
    return time.perf_counter() - started


def whole(trainer: Trainer, config: Config, environment: dict[str, object]) -> dict[str, float]:
    """Train as `runs.train` does with a trainer; return the seconds of the parts."""
    from mlp_cli.runs.folder import RunFolder
    from mlp_cli.runs.saver import Saver
    from mlp_cli.runs.train import conclude, prepare, train

    with tempfile.TemporaryDirectory() as name, TerminalObserver(epochs=trainer.epochs) as view:
        started = time.perf_counter()

        def elapsed() -> float:
            return time.perf_counter() - started

        folder = RunFolder(Path(name))
        prepare(folder, config, environment, 0, view)
        train(trainer, config, Saver(trainer, config, environment, folder, elapsed), folder, view)
        conclude(trainer, folder, elapsed)
        seconds = elapsed()
        epochs = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    training = trainer.state.training_seconds
    validation = sum(epoch["seconds"] for epoch in epochs) - training
    return {"whole": seconds, "training": training, "validation": validation}


def main() -> None:
    """Train in turns and print the seconds."""
    config, turns = load_config(sys.argv[1]), int(sys.argv[2])
    threads = fix_threads(config, None)

    from mlp_cli.compute.machine import describe
    from mlp_cli.compute.select import choose_kernels, want_fast
    from mlp_cli.compute.threads import ThreadTeam
    from mlp_cli.data.dataset import load_dataset
    from mlp_cli.training.build import build_trainer

    dataset = load_dataset(config, Path())
    none = replace(dataset.validation, rows=dataset.validation.rows[:0])
    unvalidated = replace(dataset, validation=none)
    kernels, team = choose_kernels(want_fast(os.environ)), ThreadTeam(threads)
    environment = describe(threads, kernels.name)

    def trainer(dataset: Dataset) -> Trainer:
        return build_trainer(config, dataset, team, kernels)

    def without() -> dict[str, float]:
        return {"bare": bare(trainer(unvalidated))}

    def within() -> dict[str, float]:
        return whole(trainer(dataset), config, environment)

    train_epoch(
        trainer(unvalidated)
    )  # warm up: the first training is slower, because its memory is new
    samples = len(dataset.train) * config.training.epochs
    found = []
    for turn in range(turns):
        ways = (within, without) if turn % 2 else (without, within)
        found.append({"samples": samples, **ways[0](), **ways[1]()})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
