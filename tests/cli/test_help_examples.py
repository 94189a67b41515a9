"""The examples at the end of each command's help work, in their order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import pytest
from helpers.class_pictures import write_pictures
from helpers.commands import walk
from helpers.own_images import write_own_images

from mlp_cli.cli.main import cli

ROOT = Path(__file__).parents[2]

# The examples train `mnist`. A file of that name in the working folder is found first.
SMALL = "{data: {DATA}, model: {hidden: [16]}, training: {epochs: 2}}"

COMMANDS = walk(cli)
USERS = ("compare", "eval", "export", "predict", "report", "runs")


def examples(name: str) -> list[str]:
    epilog = COMMANDS[name].epilog or ""
    return [line.strip() for line in epilog.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_two_or_three_examples(name: str) -> None:
    assert 2 <= len(examples(name)) <= 3
    for example in examples(name):
        assert example.startswith(f"mlp {name}")
        assert len(example) <= 56


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_help_text_run(name: str, tmp_path: Path, mnist_source: Path) -> None:
    if name == "config preview":
        pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    if name == "predict":
        pytest.importorskip("PIL", reason="needs the extra `images`")
        (tmp_path / "pictures").mkdir()
        for picture in ("digit.png", "page.jpg", "pictures/a.png"):
            copyfile(ROOT / "docs" / "pictures" / "digit.jpg", tmp_path / picture)
    if name == "data import":
        pytest.importorskip("PIL", reason="needs the extra `images`")
        write_pictures(tmp_path / "pictures")
        lines = (",".join(map(str, [i % 3, *[i, 255] * 8])) for i in range(12))
        (tmp_path / "train.csv").write_text("".join(f"{line}\n" for line in lines))
    if name == "report":
        pytest.importorskip("jinja2", reason="needs the extra `report`")
    data = f"path: {write_own_images(tmp_path, 28, 28).name}, validation: 100"
    if name == "predict":  # it reads a grid for a network of digits only
        data = "dataset: synthetic"
    (tmp_path / "mnist").write_text(SMALL.replace("DATA", data))
    (tmp_path / "rates.yaml").write_text("search: {optimizer.learning_rate: [0.1, 0.3]}\n")
    program = tmp_path / "bin" / "mlp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m mlp_cli "$@"\n')
    program.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "MLP_MIRROR": str(mnist_source),
        "MLP_KERNELS": "numpy",
    }
    # What the examples of other commands make.
    before = ["mlp train mnist --out runs/a"] if name in USERS else []
    for example in [*before, *examples(name)]:
        done = subprocess.run(
            example, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, (example, done.stderr)
