"""The benchmarks and scripts use what users have: the commands, and what `mlp_cli` exports."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.documents import first_column

import mlp_cli

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = sorted((ROOT / "benchmarks").glob("*.py"))
FILES = sorted([*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")])


def run(entry_point: Path, *arguments: object) -> str:
    """Return what an entry point prints."""
    done = subprocess.run(
        [sys.executable, entry_point, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def private_names(text: str) -> list[str]:
    """What a program imports of the project beside the public face."""
    private = re.findall(r"mlp_cli\.\w[\w.]*", text)  # also in programs that it starts as text
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == "mlp_cli":
            private += [name.name for name in node.names if name.name not in mlp_cli.__all__]
    # `mlp_cli.train` in a comment is no import.
    return [name for name in private if name.removeprefix("mlp_cli.") not in mlp_cli.__all__]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_benchmark_uses_only_the_public_face(path: Path) -> None:
    assert not private_names(path.read_text())


def test_an_import_of_a_private_name_is_noticed() -> None:
    assert private_names("import mlp_cli.nn.network") == ["mlp_cli.nn.network"]
    assert private_names("from mlp_cli.api import train") == ["mlp_cli.api"]
    assert private_names("from mlp_cli import api, train") == ["api"]
    assert not private_names("from mlp_cli import Run  # as mlp_cli.train returns it")


def test_the_page_names_exactly_the_entry_points() -> None:
    commands = first_column(ROOT / "benchmarks" / "README.md", "command")
    named = [re.findall(r"python (benchmarks/\w+\.py)", command)[0] for command in commands]
    assert sorted(named) == [str(path.relative_to(ROOT)) for path in ENTRY_POINTS]


@pytest.mark.parametrize("path", ENTRY_POINTS, ids=lambda path: path.stem)
def test_an_entry_point_answers_help(path: Path) -> None:
    assert run(path, "--help").startswith("Usage:")


@pytest.mark.long
def test_the_comparison_measures_a_small_network(own_images: Callable[..., Path]) -> None:
    network = ["--hidden", 8, "--batch", 50, "--optimizer", "adam", "--samples", 500]
    brief = ["--kernels", "numpy", "--rivals", "", "--threads", 1, "--repeats", 1]
    data = own_images(28, 28)
    printed = run(
        ROOT / "benchmarks" / "throughput.py",
        *("--data", data, *network, *brief, "--seconds", 0.01, "--json"),
    )
    result = json.loads(printed)
    (row,) = result["rows"]
    (ours,) = row["contenders"]
    assert (row["samples_per_epoch"], ours["threads"], ours["by_rule"]) == (500, 1, True)
    assert ours["samples_per_second"] > 0
    assert ours["peak_memory_mb"] > 10
    assert ours["accuracy"] > 0.2
    assert result["machine"]["mlp"] == mlp_cli.__version__
