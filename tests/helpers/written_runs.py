"""Folders of runs that are written, not trained: for tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlp_cli.config.load import dump_config, load_config
from mlp_cli.storage.strict_json import to_json
from mlp_cli.training.metrics import EpochMetrics


def write_run(
    folder: Path,
    changes: dict[str, Any] | None = None,
    *,
    val_accuracy: float | None = 0.9,
    test_errors: int | None = None,
    finished: bool = True,
    epochs: int = 2,
    seconds: float = 10.0,
) -> Path:
    """Write a run's folder without its checkpoints; 1000 images of each kind are held out."""
    folder.mkdir(parents=True)
    set_ = {"data.validation": 1000, "data.test": test_errors is not None, **(changes or {})}
    config = load_config({}, set=set_, warn=lambda _: None)
    (folder / "config.yaml").write_text(dump_config(config))
    (folder / "env.json").write_text("{}\n")
    worse = None if val_accuracy is None else val_accuracy / 2
    lines = [
        EpochMetrics(epoch, 10 * epoch, 0.1, 0.5, 0.5, None if worse is None else 0.5,
                     val_accuracy if epoch == 1 else worse, 100.0, seconds / epochs)
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(f"{line.to_json()}\n" for line in lines))
    if finished:
        result = {
            "dataset": "mnist",
            "epochs": epochs,
            "best_epoch": None if val_accuracy is None else 1,
            "val_accuracy": val_accuracy,
            "test_accuracy": None if test_errors is None else 1 - test_errors / 1000,
            "test_errors": test_errors,
            "test_error_ci95": None if test_errors is None else [0.01, 0.09],
            "seconds": seconds,
            "samples_per_second": 100.0,
        }
        (folder / "result.json").write_text(to_json(result, indent=2))
    return folder
