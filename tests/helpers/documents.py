"""What the tests of the documents share: the pages, their blocks and tables, and the commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from mlp_cli.cli.main import cli

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
# What a user reads, and then what somebody who works on the project reads as well.
GUIDE = [README, *sorted(DOCS.glob("*.md"))]
PAGES = sorted({*ROOT.glob("*.md"), *GUIDE, ROOT / "results/README.md", ROOT / "tests/MUTANTS.md"})


def name(path: Path) -> str:
    """A page's path from the top, which names the test's case."""
    return str(path.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def first_column(page: Path, header: str) -> list[str]:
    """The first cells of the rows of every table whose first column has that header."""
    tables = re.findall(
        rf"^\| {re.escape(header)} \|.*\n\|[-|: ]+\|\n((?:\|.*\n)+)", page.read_text(), re.M
    )
    return [row.split("|")[1].strip() for table in tables for row in table.splitlines()]


def commands(group: click.Group = cli, path: str = "mlp") -> Iterator[tuple[str, click.Command]]:
    """Every command with its name, as `mlp config schema`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command
