"""Make the pictures of docs/report.md: `python scripts/report_screenshots.py RUN FOLDER`.

It needs the extra `report`, Playwright, and Chromium. MNIST lies in `data`, or where MLP_DATA_DIR
says.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = {  # the width and height of the window, its colours, and what is at its top
    "report-wide.png": (1280, 1090, "light", "main"),
    "report-phone.png": (390, 780, "dark", "#mistakes"),
}


def main(run: Path, folder: Path) -> None:
    """Write the pictures of a run's page into a folder."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        page = Path(temporary) / "report.html"
        report = [sys.executable, "-m", "mlp_cli", "report", str(run), "--out", str(page)]
        subprocess.run(report, check=True, stdout=subprocess.DEVNULL)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, (width, height, colours, top) in PICTURES.items():
            size = {"width": width, "height": height}
            window = browser.new_page(viewport=size, color_scheme=colours)
            window.goto(page.as_uri())
            window.evaluate("top => document.querySelector(top).scrollIntoView()", top)
            window.screenshot(path=folder / name)
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
