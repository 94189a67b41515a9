"""Pages in a real Chromium: readable at any width, and nothing runs or is fetched."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import needs_chromium, open_page
from helpers.own_images import write_own_images
from helpers.pages import train_small
from helpers.written_runs import write_run

from mlp_cli.reports.page.write import write_report

pytest.importorskip("jinja2", reason="needs the extra `report`")
pytest.importorskip("matplotlib", reason="needs the extra `report`")
pytestmark = [pytest.mark.long, needs_chromium]

# As a folder's name, as text in a file, and as part of a path.
ATTACK = "<img src=http:x onerror=document.title=1>"
SCRIPT = '"><script>document.title=1</script><style>*{display:none}</style>{{ 7*7 }}'


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of a run, and one of several, of folders and files that are made to attack."""
    folder = tmp_path_factory.mktemp("pages")
    evil = folder / f"'\"{ATTACK}\u202e"
    evil.mkdir()
    run = train_small(evil / "run", write_own_images(evil))
    (run / "env.json").write_text(json.dumps({SCRIPT: SCRIPT, "numpy": SCRIPT, "kernels": SCRIPT}))
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "dataset": SCRIPT}))
    for n in range(12):
        path = f"/{SCRIPT.replace('/', '-')}$x$"
        changes = {"data.path": path, "optimizer.learning_rate": 0.1 + n} if n % 2 else {}
        run_of_many = write_run(evil / f"many/{SCRIPT.replace('/', '-')}{n}", changes)
        if n == 5:
            (run_of_many / "result.json").write_text(json.dumps({SCRIPT: 1}))
    found = {"run": folder / "run.html", "runs": folder / "runs.html"}
    write_report([run], found["run"], folder, None, lambda _: None)
    write_report([evil / "many"], found["runs"], folder, None, lambda _: None)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["run", "runs"])
def test_a_page_fits_its_window_and_all_its_text_can_be_read(
    name: str, width: int, scheme: str, browser: Any, pages: dict[str, Path]
) -> None:
    with open_page(browser, pages[name], width, scheme) as seen:
        assert seen.messages == []
        assert seen.requests == [pages[name].as_uri()]
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width
        small, faint = seen.page.evaluate(READABLE)
        assert small == []
        assert faint == []
        assert seen.page.evaluate(OUTSIDE) == []


# Texts that are drawn smaller than 9 pixels, and those with less contrast than 4.5 to 1 (WCAG AA)
# to the page or card that they stand on.
READABLE = """() => {
  const part = c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = rgb => rgb.map(c => part(c / 255)).reduce(
    (sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const small = [], faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, style = getComputedStyle(element);
    const text = node.data.trim();
    if (!text || !element.checkVisibility()) continue;
    const svg = element.closest("svg.chart");
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    if (scale * parseFloat(style.fontSize) < 9) small.push(text);
    let under = element;
    const opaque = of => {
      const found = parse(getComputedStyle(of).backgroundColor);
      return found.length === 3;
    };
    while (!opaque(under) && under.parentElement) under = under.parentElement;
    const back = light(parse(getComputedStyle(under).backgroundColor));
    const front = light(parse(svg ? style.fill : style.color));
    const contrast = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
    if (contrast < 4.5) faint.push([text, contrast]);
  }
  return [small, faint];
}"""

# What stands out of the window, except within a box that scrolls.
OUTSIDE = """() => [...document.querySelectorAll("body *")].filter(element =>
  !element.closest(".scroll *, pre *")
  && element.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("name", ["run", "runs"])
def test_markup_and_scripts_in_names_and_files_are_shown_as_text(
    name: str, browser: Any, pages: dict[str, Path]
) -> None:
    with open_page(browser, pages[name], 1280) as seen:
        page = seen.page
        assert ATTACK in page.title()
        text = page.inner_text("body")
        assert ATTACK in text
        assert "\\u202e" in text
        assert "<script>document.title=1<" in text
        assert "{{ 7*7 }}" in text
        assert page.evaluate("document.querySelectorAll('script, iframe, object, a').length") == 0
        sources = page.evaluate("[...document.images].map(image => image.src)")
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        handlers = (
            "[...document.querySelectorAll('*')].flatMap("
            "e => e.getAttributeNames().filter(name => /^on|^style$/.test(name)))"
        )
        assert page.evaluate(handlers) == []


def test_the_policy_of_a_page_stops_what_would_run_or_load(
    browser: Any, pages: dict[str, Path]
) -> None:
    with open_page(browser, pages["run"], 1280) as seen:
        seen.assert_policy_holds()


def test_a_page_is_complete_on_paper(browser: Any, pages: dict[str, Path]) -> None:
    with open_page(browser, pages["run"], 794, "dark") as seen:
        page = seen.page
        hidden = page.locator("details table")
        assert not hidden.is_visible()
        page.emulate_media(media="print")
        assert hidden.bounding_box()["height"] > 300
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_page_has_an_order_of_headings_and_a_text_for_each_picture(
    browser: Any, pages: dict[str, Path]
) -> None:
    with open_page(browser, pages["run"], 1280) as seen:
        page = seen.page
        levels = page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3')].map(e => Number(e.tagName[1]))"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        steps = [after - before for before, after in pairwise(levels)]
        assert max(steps) == 1
        assert page.evaluate("[...document.images].filter(image => !image.alt).length") == 0
        assert page.evaluate("[...document.querySelectorAll('table')].filter("
                             "t => !t.querySelector('th[scope]')).length") == 0  # fmt: skip
        assert page.evaluate("document.documentElement.lang") == "en"
