"""The children in which most tests run `mlp` do what a process from nothing does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from helpers.loaded import COMMAND, ROOT, Loaded

ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    ("words", "code"), [(["config", "show", "c.yaml"], 0), (["eval", "c.yaml"], 5)]
)
def test_a_child_prints_and_returns_what_a_process_from_nothing_does(
    words: list[str], code: int, quick_config: Path
) -> None:
    folder = quick_config.parent
    own = subprocess.run(
        [*COMMAND, *words], cwd=folder, env=ENVIRON, capture_output=True, text=True, check=False
    )
    child = Loaded.current.run(words, folder, ENVIRON)
    assert own.returncode == code
    assert (child.returncode, child.stdout, child.stderr) == (code, own.stdout, own.stderr)


def test_a_variable_that_may_count_for_imports_gets_a_process_from_nothing(tmp_path: Path) -> None:
    done = Loaded.current.run(["--help"], tmp_path, {**ENVIRON, "PYTHONPROFILEIMPORTTIME": "1"})
    assert "click" in done.stderr
    assert Loaded.current.run(["--help"], tmp_path, {**ENVIRON, "MLP_KERNELS": ""}).stderr == ""
