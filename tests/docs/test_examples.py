"""The examples on the pages do what the pages say."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import pytest
from helpers.documents import GUIDE, blocks, name

WITH_EXAMPLES = [page for page in GUIDE if ">>> " in page.read_text()]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name)
def test_what_python_prints_is_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    with np.printoptions():  # an example may set its own
        failed, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert tried
    assert not failed, "what differs is printed above"


def test_backpropagation_is_shown_by_example() -> None:
    assert "docs/backprop.md" in map(name, WITH_EXAMPLES)


@pytest.mark.parametrize("page", GUIDE, ids=name)
def test_each_python_block_is_python(page: Path) -> None:
    for block in blocks(page, "python"):
        if ">>> " not in block:
            ast.parse(block)
