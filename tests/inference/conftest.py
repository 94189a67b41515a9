"""Networks that several tests of this folder score and predict with."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.named_runs import named_run


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three classes with names."""
    return named_run(tmp_path_factory.mktemp("named"))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, without names."""
    return named_run(tmp_path_factory.mktemp("numbered"), names=())
