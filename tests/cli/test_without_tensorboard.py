"""`logging.tensorboard` without its extra."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

Mlp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.skipif(find_spec("tensorboardX") is not None, reason="tensorboardX is installed here")
def test_the_missing_extra_is_named_before_anything_is_made(
    config: Path, mlp: Mlp, tmp_path: Path
) -> None:
    (tmp_path / "sweep.yaml").write_text(
        f"config: {config}\nset: {{logging.tensorboard: true}}\n"
        "search: {training.batch_size: [16, 32]}\n"
    )
    before = sorted(tmp_path.iterdir())
    for command in (
        ["train", config, "--set", "logging.tensorboard=true"], ["sweep", "sweep.yaml"],
    ):  # fmt: skip
        done = mlp(*command, "--out", "out")
        assert (done.returncode, done.stdout) == (2, ""), command
        assert "pip install 'mlp-cli[tensorboard]'" in done.stderr
        assert sorted(tmp_path.iterdir()) == before
