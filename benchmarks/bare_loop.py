"""`mlp`'s training loop with nothing around it: what `mlp train` costs beyond it is measured so.

    python benchmarks/bare_loop.py config.yaml

trains the configuration's epochs on the same images as `mlp train`, on the threads that it would
choose, without validation, checkpoints, metrics and progress, and prints one JSON object: the
seconds of start-up (loading the data, making the trainer) and of the loop.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from ours import fix_threads, train_epoch

from mlp_cli.config import load_config


def main() -> None:
    """Train and print what it took."""
    config = load_config(sys.argv[1])
    threads = fix_threads(config, None)

    from mlp_cli.data import load_dataset
    from mlp_cli.environment import want_fast
    from mlp_cli.run import build_trainer, choose_kernels
    from mlp_cli.team import Team

    started = time.perf_counter()
    dataset = load_dataset(config, Path())
    kernels = choose_kernels(want_fast(os.environ))
    validation = replace(dataset.validation, rows=dataset.validation.rows[:0])
    trainer = build_trainer(config, replace(dataset, validation=validation), Team(threads), kernels)
    ready = time.perf_counter()
    for _ in range(config.training.epochs):
        train_epoch(trainer)
    seconds = {"start_up": ready - started, "loop": time.perf_counter() - ready}
    print(json.dumps({**seconds, "samples": len(dataset.train) * config.training.epochs}))


if __name__ == "__main__":
    main()
