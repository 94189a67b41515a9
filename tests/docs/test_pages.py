"""What the pages say of the project as a whole is so."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.documents import DOCS, PAGES, README, ROOT, blocks, first_column, name, prose
from test_layout import FACE, FLOORS, PACKAGE

import mlp_cli


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 130


def test_the_readme_names_every_page() -> None:
    for page in DOCS.glob("*.md"):
        assert f"](docs/{page.name})" in README.read_text()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_line_of_text_has_at_most_120_characters(page: Path) -> None:
    lines = [line for line in prose(page).splitlines() if not line.startswith("|")]
    assert max(map(len, lines)) <= 120


def test_the_picture_of_the_architecture_is_the_layout() -> None:
    picture = blocks(DOCS / "architecture.md", "text")[0]
    rows = [
        set(re.split(r"  +", line)[0].split()) for line in picture.replace("  ", " ").splitlines()
    ]
    assert rows == FLOORS
    entries = {entry.stem for entry in PACKAGE.iterdir()} - {"__pycache__", "py"}
    assert set().union(*rows, FACE) == entries


def test_the_changelog_knows_this_version() -> None:
    assert f"## {mlp_cli.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f'version = "{mlp_cli.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_a_run_has_the_files_and_keys_of_the_page(
    config: Path, mlp: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    page, run = DOCS / "run-folder.md", tmp_path / "run"
    assert mlp("train", "--config", config, "--out", run).returncode == 0

    def listed(header: str) -> list[str]:
        return re.findall(r"`([\w.]+)`", " ".join(first_column(page, header)))

    assert sorted(listed("file")) == sorted(
        [*(file.name for file in run.iterdir()), "divergence.json"]
    )
    assert listed("key of `metrics.jsonl`") == list(
        json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    )
    assert listed("key of `result.json`") == list(json.loads((run / "result.json").read_text()))
