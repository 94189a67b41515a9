"""A run to make pages of."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.own_images import write_own_images
from helpers.pages import contents, train_small

from mlp_cli.reports.page.run_contents import RunContents


@pytest.fixture(scope="session")
def page_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images for `data.path`."""
    return write_own_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def page_run(page_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with mistakes."""
    return train_small(tmp_path_factory.mktemp("runs") / "a", page_images)


@pytest.fixture(scope="session")
def page_contents(page_run: Path) -> RunContents:
    """What the page of that run says."""
    return contents(page_run)


@pytest.fixture
def page_copy(page_run: Path, tmp_path: Path) -> Path:
    """A copy of that run, whose files a test may change."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in page_run.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
