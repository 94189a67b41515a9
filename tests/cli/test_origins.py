"""`mlp config show` says of each value where it comes from."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from helpers.documents import DOCS, blocks

from mlp_cli.config.load import load_config, load_with_origins
from mlp_cli.config.text import resolved_text

Mlp = Callable[..., subprocess.CompletedProcess[str]]

FILE = """\
# A comment.
seed: 7
optimizer: {name: adam, learning_rate: 0.001}
model:
  hidden:
    - 20
    - 10
data: {validation: 100}
"""


def origins(file: Path, *changes: str) -> dict[str, str]:
    return load_with_origins(file, changes, print)[1]


def test_a_key_is_from_its_line_or_an_option_or_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(FILE)
    from_file = {
        "seed": f"{file}:2",
        "data.validation": f"{file}:8",
        "model.hidden": f"{file}:5",
        "optimizer.name": f"{file}:3",
        "optimizer.learning_rate": f"{file}:3",
    }
    assert origins(file) == from_file
    changes = ["model={activation: tanh, hidden: [5]}", "seed=7", "optimizer.learning_rate=null"]
    assert origins(file, *changes) == {
        **from_file,
        "seed": "--set",
        "model.hidden": "--set",
        "model.activation": "--set",
        "optimizer.learning_rate": "--set",
    }
    assert origins(file, "optimizer.name=sgd", "optimizer.momentum=0.5") == {
        **from_file,
        "optimizer.name": "--set",
        "optimizer.momentum": "--set",
    }


def test_the_page_shows_what_is_printed(mlp: Mlp) -> None:
    (call,) = re.findall(
        r"^mlp (config show softmax --set seed=1)$", (DOCS / "commands.md").read_text(), re.M
    )
    (example,) = [
        text for text in blocks(DOCS / "commands.md", "text") if "shipped softmax" in text
    ]
    printed = mlp(*call.split()).stdout.splitlines()
    assert set(example.splitlines()) - {"…"} <= set(printed)
    assert all(" # " in line for line in printed if not re.fullmatch(r"\w+:", line))


def test_an_odd_name_of_a_file_does_not_change_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / ("long " * 40) / "a\n# \x1b: {'\udcff.yaml"
    file.parent.mkdir()
    file.write_text(FILE)
    config, of = load_with_origins(file, ["seed=1"], print)
    text = resolved_text(config, of)
    assert r"a\n# \x1b: {'\udcff.yaml:5; default: [512, 256]" in text
    assert max(map(len, text.splitlines())) < 140
    (tmp_path / "shown.yaml").write_text(text)
    assert load_config(tmp_path / "shown.yaml") == config
