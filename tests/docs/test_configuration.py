"""The table of keys is the program's own."""

from __future__ import annotations

from pathlib import Path

from helpers.documents import DOCS, blocks, first_column

from mlp_cli.config.describe import Option, options
from mlp_cli.config.load import load_config

PAGE = DOCS / "configuration.md"


def row(option: Option) -> str:
    return f"| `{option.key}` | {option.default} | {option.allowed} | {option.description} |"


def test_the_table_has_every_key_as_the_program_knows_it() -> None:
    lines = PAGE.read_text().splitlines()
    missing = [row(option) for option in options() if row(option) not in lines]
    assert not missing, "put these lines into docs/configuration.md:\n" + "\n".join(missing)
    assert first_column(PAGE, "key") == [f"`{option.key}`" for option in options()]


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    (example,) = blocks(PAGE, "yaml")
    (tmp_path / "example.yaml").write_text(example)
    config = load_config(tmp_path / "example.yaml")
    assert config.model.hidden == (100,)
    assert config.optimizer.name == "adam"
