"""Runs to make pages of, and pages in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import mlp_cli
from mlp_cli.reports.page.run_contents import RunContents, run_contents
from mlp_cli.reports.page.write import write_report
from mlp_cli.runs.listing import find_runs

HEIGHT = 900  # of a browser's window, in pixels
SMALL = {
    "data.validation": 100,
    "model.hidden": [16],
    "optimizer": {"name": "adam", "learning_rate": 1e-3},
    "distortion.rotation": 10,
    "training.epochs": 2,
    "training.batch_size": 32,
}


def train_small(out: Path, images: Path, **changes: Any) -> Path:
    """Train a small network on a folder of images, with mistakes left; return the run's folder."""
    set_ = {"data.path": str(images), **SMALL, **changes}
    return mlp_cli.train({}, out=out, set=set_).path


def contents(run: Path) -> RunContents:
    """Return what the page of a run says."""
    (found,) = find_runs([run])
    return run_contents(found, Path("data"), None)


def page_of(paths: Sequence[Path], out: Path) -> tuple[str, list[str]]:
    """Write a page; return it, and what was warned of."""
    told: list[str] = []
    write_report(paths, out, Path("data"), None, told.append)
    return out.read_text(), told


def text_of(page: str) -> str:
    """Return what a page says, without its markup and style."""
    body = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(body).split())


class Seen(NamedTuple):
    """A page in a browser: what went to the console, and what it asked for beside itself."""

    page: Any
    messages: list[str]
    requests: list[str]


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, width: int, scheme: str = "light") -> Iterator[Seen]:
    """Open a page in a window of this width, in light or dark colours."""
    size = {"width": width, "height": HEIGHT}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    seen = Seen(context.new_page(), [], [])
    seen.page.on("console", lambda message: seen.messages.append(message.text))
    seen.page.on("pageerror", lambda error: seen.messages.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(file.as_uri())
    yield seen
    context.close()
