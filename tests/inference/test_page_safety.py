"""The page to draw on shows texts as texts, and its policy lets nothing else run or load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.drawn_pages import chromium, opened
from helpers.exports import random_model

pytest.importorskip("playwright", reason="needs Playwright")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium"),
]

# As a folder's name and as the name of data, which end at a slash.
ATTACK = "<img src=http:x onerror=document.title=1><!--<script>document.title=2<script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def test_markup_and_scripts_in_names_are_shown_as_text(browser: Any, tmp_path: Path) -> None:
    model = random_model(tmp_path / ATTACK, data=ATTACK)
    with opened(browser, model, tmp_path) as drawn:
        page = drawn.page
        page.click("summary")
        assert ATTACK in page.inner_text("#network")
        assert ATTACK in page.inner_text("#about")
        assert page.title() == "Draw a picture"
        assert page.evaluate("document.querySelectorAll('img, iframe, a').length") == 0
        assert page.evaluate("document.scripts.length") == 2
        assert drawn.messages == []
        assert len([url for url in drawn.requests if not url.startswith("data:")]) == 1


def test_the_policy_of_a_page_stops_what_would_run_or_load(browser: Any, tmp_path: Path) -> None:
    with opened(browser, random_model(tmp_path / "run"), tmp_path) as drawn:
        drawn.page.evaluate("""() => {
          const add = (name, of) => document.body.append(
            Object.assign(document.createElement(name), of));
          add("script", {textContent: "document.title = 'ran'"});
          add("style", {textContent: "body {display: none}"});
          add("img", {src: "http://127.0.0.1:9/image.png"});
          add("iframe", {src: "http://127.0.0.1:9/page.html"});
          fetch("http://127.0.0.1:9/data").catch(() => {});
        }""")
        drawn.page.wait_for_timeout(200)
        assert drawn.page.title() == "Draw a digit"
        assert drawn.page.evaluate("getComputedStyle(document.body).display") == "block"
        for directive in ("script-src", "style-src", "img-src", "default-src", "connect-src"):
            assert any(directive in message for message in drawn.messages), directive
