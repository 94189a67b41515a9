"""A warning about a configuration is given once, as a line, when its training starts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlp_cli import load_config

WORD = "far above the usual rates"


@pytest.mark.long
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "stopped"])
def test_moved_data_repeat_no_warning_about_the_configuration(
    finished: bool, config: Path, mlp: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    rate = ("--set", "optimizer.learning_rate=1")
    first = mlp("train", config, *rate, "--out", "run")
    assert (first.returncode, first.stderr.count(WORD)) == (0, 1)
    run = config.parent / "run"
    if not finished:
        (run / "result.json").unlink()
    moved = shutil.move(str(load_config(config).data.path), config.parent / "moved")
    scored = mlp("eval", run / "best.npz", "--data-path", moved)
    assert (scored.returncode, scored.stderr.count(WORD)) == (0, 0)
    again = mlp("train", config, *rate, "--resume", "--out", "run", "--data-path", moved)
    assert (again.returncode, again.stderr.count(WORD)) == (0, 1), again.stderr
