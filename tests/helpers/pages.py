"""Runs to make pages of, and what the pages say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import mlp_cli
from mlp_cli.reports.page.run_contents import RunContents, run_contents
from mlp_cli.reports.page.write import write_report
from mlp_cli.runs.listing import find_runs

SMALL = {
    "data.validation": 100,
    "model.hidden": [16],
    "optimizer": {"name": "adam", "learning_rate": 1e-3},
    "distortion.rotation": 10,
    "training.epochs": 2,
    "training.batch_size": 32,
}


def train_small(out: Path, images: Path, **changes: Any) -> Path:
    """Train a small network on a folder of images, with mistakes left; return the run's folder."""
    set_ = {"data.path": str(images), **SMALL, **changes}
    return mlp_cli.train({}, out=out, set=set_).path


def contents(run: Path) -> RunContents:
    """Return what the page of a run says."""
    (found,) = find_runs([run])
    return run_contents(found, Path("data"), None)


def page_of(paths: Sequence[Path], out: Path) -> tuple[str, list[str]]:
    """Write a page; return it, and what was warned of."""
    told: list[str] = []
    write_report(paths, out, Path("data"), None, told.append)
    return out.read_text(), told


def text_of(page: str) -> str:
    """Return what a page says, without its markup and style."""
    body = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(body).split())
