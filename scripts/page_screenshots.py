"""Make the pictures of docs/page.md: `python scripts/page_screenshots.py RUN FOLDER`.

It needs Playwright and Chromium. RUN is a network for MNIST.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = {  # the width and height of the window, and its colours
    "page-wide.png": (1280, 1170, "light"),
    "page-phone.png": (390, 844, "dark"),
}
# A seven with a bar, as points in shares of the paper.
STROKES = (
    ((0.27, 0.24), (0.45, 0.22), (0.71, 0.22), (0.66, 0.36), (0.56, 0.56), (0.47, 0.83)),
    ((0.42, 0.53), (0.58, 0.51), (0.7, 0.5)),
)


def main(run: Path, folder: Path) -> None:
    """Write the pictures of a run's page into a folder."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        file = Path(temporary) / "page.html"
        subprocess.run([sys.executable, "-m", "mlp_cli", "export", run, file], check=True)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, (width, height, colours) in PICTURES.items():
            size = {"width": width, "height": height}
            window = browser.new_page(viewport=size, color_scheme=colours)
            window.goto(file.as_uri())
            _draw(window)
            window.screenshot(path=folder / name)
        browser.close()


def _draw(window: Page) -> None:
    window.wait_for_selector("#bars li")
    box = window.locator("#paper").bounding_box()
    assert box is not None
    for stroke in STROKES:
        for i, (x, y) in enumerate(stroke):
            window.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if i == 0:
                window.mouse.down()
        window.mouse.up()
    window.wait_for_selector("#bars .first")
    window.wait_for_timeout(500)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
