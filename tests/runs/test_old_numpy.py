"""The oldest NumPy that pyproject allows, in an environment of its own, loses no training."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mlp_cli

ROOT = Path(__file__).parents[2]
OLD = "1.26" if sys.version_info < (3, 13) else "2.1"


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with NumPy 1.26, or the oldest of this Python, and the other dependencies."""
    folder = tmp_path_factory.mktemp("old")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    others = [need for need in project["dependencies"] if not need.startswith("numpy")]
    needs = [f"numpy=={OLD}.*", *others]
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *needs],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"needs a package index to install NumPy {OLD}: {installed.stderr[-300:]}")
    return python


@pytest.mark.nightly
def test_an_old_numpy_trains_resumes_and_scores(
    old_python: Path, config: Path, tmp_path: Path, mlp: Callable[..., subprocess.CompletedProcess]
) -> None:
    def old_mlp(*arguments: object) -> str:
        done = subprocess.run(
            [old_python, "-m", "mlp_cli", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    old_mlp("train", "--config", config, "--out", "a")
    old_mlp("train", "--config", config, "--out", "a", "--resume", "--set", "training.epochs=4")
    assert "errors" in old_mlp("eval", "a")
    with np.load(tmp_path / "a" / "last.npz", allow_pickle=False) as archive:
        assert not [name for name in archive.files if "pickle" in name]
    images = np.zeros((2, 8, 8), np.uint8)
    assert mlp_cli.load(tmp_path / "a").predict(images).shape == (2,)
    assert mlp("eval", "a").returncode == 0
