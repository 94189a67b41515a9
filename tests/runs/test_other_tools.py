"""The page on a run's folder brings its metrics to other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.documents import DOCS, blocks

LINES = [
    '{"epoch": 1, "step": 63, "train_loss": 0.9, "val_loss": null}',
    '{"epoch": 2, "step": 126, "train_loss": 0.5, "val_loss": null}',
]
BLOCKS = [block for block in blocks(DOCS / "run-folder.md", "python") if "metrics" in block]


def run(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the page's blocks for pandas and for a tool, and return the metrics."""
    metrics = tmp_path / "runs/mnist-1/metrics.jsonl"
    metrics.parent.mkdir(parents=True)
    metrics.write_text("\n".join(LINES) + "\n")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if f"import {tool}" in block or "import pandas" in block:
            exec(block, names)
    return names["metrics"]


def test_pandas_reads_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas", reason="needs the dependency group `oracle`")
    found = run("pandas", tmp_path, monkeypatch)
    assert found["step"].tolist() == [63, 126]
    assert found["val_loss"].isna().all()


@pytest.mark.parametrize("tool", ["wandb", "mlflow"])
def test_a_tracker_takes_the_metrics(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas", reason="needs the dependency group `oracle`")
    pytest.importorskip(tool, reason=f"{tool} is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    run(tool, tmp_path, monkeypatch)
    if tool == "mlflow":
        (losses,) = tmp_path.glob("mlruns/*/*/metrics/train_loss")
        assert [line.split()[1:] for line in losses.read_text().splitlines()] == [
            ["0.9", "1"], ["0.5", "2"],
        ]  # fmt: skip
    else:
        assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
