"""The page to draw on shows texts as texts, and its policy lets nothing else run or load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.browser import needs_chromium
from helpers.drawn_pages import open_drawing
from helpers.exports import random_model

pytestmark = [pytest.mark.long, needs_chromium]

# As a folder's name and as the name of data, which end at a slash.
ATTACK = "<img src=http:x onerror=document.title=1><!--<script>document.title=2<script>"


def test_markup_and_scripts_in_names_are_shown_as_text(browser: Any, tmp_path: Path) -> None:
    model = random_model(tmp_path / ATTACK, data=ATTACK)
    with open_drawing(browser, model, tmp_path) as drawn:
        page = drawn.page
        page.click("summary")
        assert ATTACK in page.inner_text("#network")
        assert ATTACK in page.inner_text("#about")
        assert page.title() == "Draw a picture"
        assert page.evaluate("document.querySelectorAll('img, iframe, a').length") == 0
        assert page.evaluate("document.scripts.length") == 2
        assert drawn.messages == []
        assert len(drawn.requests) == 1


def test_the_policy_of_a_page_stops_what_would_run_or_load(browser: Any, tmp_path: Path) -> None:
    with open_drawing(browser, random_model(tmp_path / "run"), tmp_path) as drawn:
        drawn.assert_policy_holds()
