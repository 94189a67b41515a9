"""Whatever a document refers to is there: files, headings, and names in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from helpers.documents import PAGES, ROOT, name, prose

each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(file), target


@each_page
def test_each_path_in_the_text_exists(page: Path) -> None:
    pattern = r"(?<![\w./-])(?:mlp_cli|benchmarks|configs|docs|scripts|tests)/[\w./-]*[\w/]"
    for path in re.findall(pattern, page.read_text()):
        assert (ROOT / path).exists(), path


@each_page
def test_each_name_said_to_be_in_a_file_is_defined_there(page: Path) -> None:
    # `Name.attribute`, path.py and path.py:function
    named = re.findall(r"`([\w.]+)`(?:,| in| of) `?([\w/]+\.py)", page.read_text())
    named += [
        (name, path) for path, name in re.findall(r"([\w/]+\.py):([\w.]+\w)", page.read_text())
    ]
    for definition, path in named:
        assert definition in definitions(ROOT / path), f"{definition} in {path}"


def definitions(file: Path) -> set[str]:
    """What a file defines: functions, classes, their methods and attributes, and variables."""
    found = set()

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{prefix}{node.name}.")
            targets = (
                node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            )
            found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    walk(ast.parse(file.read_text()).body, "")
    return found


def test_the_readme_names_the_lines_of_the_mathematics() -> None:
    # So that the test above has something to look at.
    assert (ROOT / "README.md").read_text().count("`Backpropagation.backward`, mlp_cli/nn/") == 3
