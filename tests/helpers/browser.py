"""Pages in a real Chromium without a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

needs_chromium = pytest.mark.skipif(
    find_spec("playwright") is None or shutil.which("chromium") is None,
    reason="needs Playwright and Chromium",
)

# Whatever a page's policy must stop.
INTRUDE = """() => {
  const add = (name, of) => document.body.append(Object.assign(document.createElement(name), of));
  add("script", {textContent: "document.title = 'ran'"});
  add("style", {textContent: "body {display: none}"});
  add("img", {src: "http://127.0.0.1:9/image.png"});
  add("iframe", {src: "http://127.0.0.1:9/page.html"});
  fetch("http://127.0.0.1:9/data").catch(() => {});
}"""


class OpenedPage(NamedTuple):
    """A page, what went to its console, and the addresses of itself and of all that it fetched."""

    page: Any
    messages: list[str]
    requests: list[str]

    def assert_policy_holds(self) -> None:
        """Try to run and to load things, which the page's policy must stop."""
        title = self.page.title()
        self.page.evaluate(INTRUDE)
        self.page.wait_for_timeout(200)
        assert self.page.title() == title
        assert self.page.evaluate("getComputedStyle(document.body).display") == "block"
        for directive in ("script-src", "style-src", "img-src", "default-src", "connect-src"):
            assert any(directive in message for message in self.messages), directive


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Any, file: Path, width: int, scheme: str = "light") -> Iterator[OpenedPage]:
    """Open a page in a window of this width, in light or dark colours."""
    size = {"width": width, "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    opened = OpenedPage(context.new_page(), [], [])

    def note(request: Any) -> None:
        if not request.url.startswith(("data:", "blob:")):  # these lie in the page itself
            opened.requests.append(request.url)

    opened.page.on("console", lambda message: opened.messages.append(message.text))
    opened.page.on("pageerror", lambda error: opened.messages.append(str(error)))
    opened.page.on("request", note)
    opened.page.goto(file.as_uri())
    yield opened
    context.close()
