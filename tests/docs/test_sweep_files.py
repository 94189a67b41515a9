"""The sweep files of docs/sweeps.md and README.md are valid, and the table has every key."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from helpers.documents import DOCS, ROOT, blocks, first_column
from helpers.shell_sweeps import prepare

from mlp_cli.sweep.definition import METHODS, PRUNING_KEYS, Confirm, Pruning
from mlp_cli.sweep.reading import KEYS, read_sweep

PAGES = (DOCS / "sweeps.md", ROOT / "README.md")
(EXAMPLE,) = (each for each in blocks(PAGES[0], "sh") if each.strip().endswith("sweeps/rates"))
FILES = [text for page in PAGES for text in blocks(page, "yaml") if "search:" in text]


@pytest.mark.parametrize("text", FILES)
def test_a_sweep_file_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    assert read_sweep(tmp_path / "sweep.yaml").trials > 1


def test_the_table_has_every_key_with_its_default(tmp_path: Path) -> None:
    page = DOCS / "sweeps.md"
    assert tuple(key.strip("`") for key in first_column(page, "key")) == KEYS
    text, (top, seeds) = page.read_text(), (Confirm().top, Confirm().seeds)
    assert f"`{{top: {top}, seeds: {seeds}}}`" in text
    for name in (*METHODS, *PRUNING_KEYS):
        assert f"`{name}`" in text
    rule = Pruning()
    assert (rule.warmup, rule.trials, rule.first, rule.factor) == (1, 5, 1, 3)  # as the text says


@pytest.mark.long
def test_the_first_example_runs(config: Path) -> None:
    folder = prepare(config)
    (folder / "rates.yaml").write_text(FILES[0])
    done = subprocess.run(
        ["bash", "-ec", f"PATH=$PWD/bin:$PATH\n{EXAMPLE}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "sweeps/rates/result.json").read_text())
    assert result["finished"] == 15
    assert done.stdout.splitlines()[-1] == f"sweeps/rates/{result['best']['run']}"
