"""Many runs are compared quickly."""

from __future__ import annotations

import os
import random
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.written_runs import write_run

Mlp = Callable[..., subprocess.CompletedProcess[str]]
N = 10_000
LIMIT = 5.0  # seconds of processor time


@pytest.mark.long
@pytest.mark.serial
def test_ten_thousand_runs_are_compared_within_five_seconds(mlp: Mlp, tmp_path: Path) -> None:
    drawn = random.Random(0)
    pattern = write_run(tmp_path / "pattern")
    config = (pattern / "config.yaml").read_text()
    same = [path for path in pattern.iterdir() if path.name != "config.yaml"]
    for number in range(N):
        folder = tmp_path / "trials" / f"{number:05}" / "seed-0"
        folder.mkdir(parents=True)
        for path in same:
            os.link(path, folder / path.name)
        changed = config.replace("learning_rate: 0.1", f"learning_rate: {drawn.random()!r}")
        (folder / "config.yaml").write_text(changed)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = mlp("compare", "trials", "--csv")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == N + 1
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent <= LIMIT
