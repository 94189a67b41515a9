"""Preloaded by the workers of a Dask cluster: they sleep, and return the files of one real run."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import mlp_cli
from mlp_cli.sweep import cluster_task

PAUSE = 1.0  # seconds that a trial takes


def run_files() -> dict[str, bytes | None]:
    with tempfile.TemporaryDirectory() as folder:
        mlp_cli.train(
            {
                "data": {"dataset": "synthetic", "validation": 100, "test": False},
                "model": {"hidden": [8]},
                "training": {"epochs": 3, "batch_size": 32},
            },
            out=folder,
            resume=True,
        )
        return {name: (Path(folder) / name).read_bytes() for name in cluster_task.FILES[:5]} | {
            "result.json": (Path(folder) / "result.json").read_bytes()
        }


FILES = run_files()


def stand_in(task: cluster_task.Slice) -> cluster_task.SliceResult:
    time.sleep(PAUSE)
    return cluster_task.SliceResult("a worker", FILES)


cluster_task.train_slice = stand_in
