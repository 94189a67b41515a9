"""Exported pages in a real browser: drawing on them, and what they answer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from helpers.browser import OpenedPage, open_page
from mlp_cli.data.pictures.reading import Picture, read_pictures
from mlp_cli.data.synthetic import WAYS
from mlp_cli.inference.export.page.page import html_bytes
from mlp_cli.inference.model import Model
from mlp_cli.inference.predict import Answer, Predictor

Stroke = list[tuple[float, float]]  # points, as shares of the paper's width and height

# An answer to a picture, in base64, with its mean grey value and what the network saw.
ANSWER = """async ([file, other]) => {
  const data = other || JSON.parse(document.getElementById("data").textContent);
  const network = {...data, layers: await unpackLayers(data), activate: activationOf(data)};
  const bytes = Uint8Array.from(atob(file), character => character.charCodeAt(0));
  const {picture} = await readPicture(new File([bytes], "a picture"));
  const {image, box, digits, probabilities} = answerOf(network, picture);
  return {digits, probabilities, image: image && [...image.values],
          grey: picture.values.reduce((sum, grey) => sum + grey, 0) / picture.values.length,
          box: box && [box.top, box.left, box.bottom, box.right]};
}"""


class DrawnPage(OpenedPage):
    """An exported page in a browser."""

    def draw(self, strokes: Sequence[Stroke]) -> None:
        """Draw strokes with the mouse."""
        box = self.page.locator("#paper").bounding_box()
        for stroke in strokes:
            points = [
                (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke
            ]
            self.page.mouse.move(*points[0])
            self.page.mouse.down()
            for point in points[1:]:
                self.page.mouse.move(*point)
            self.page.mouse.up()
        self.settle()

    def settle(self) -> None:
        """Wait until the page shows the answer to what is on the paper."""
        self.page.evaluate("() => new Promise(done => "
                           "requestAnimationFrame(() => requestAnimationFrame(done)))")  # fmt: skip

    def shown(self) -> tuple[str, str, str]:
        """Return the class, its probability and the notes that the page shows."""
        prediction, probability, notes = (
            self.page.inner_text(f"#{name}") for name in ("prediction", "probability", "notes")
        )
        return prediction, probability, notes

    def saved(self, file: Path) -> Picture:
        """Save the drawing by the page's button, and read it as `mlp predict` does."""
        with self.page.expect_download() as download:
            self.page.click("#save")
        download.value.save_as(file)
        (picture,) = read_pictures(file)
        return picture

    def answer(self, file: bytes, data: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the page answers to a picture, or would answer with the data of another."""
        found: dict[str, Any] = self.page.evaluate(ANSWER, [base64.b64encode(file).decode(), data])
        return found


def data_of(page: bytes) -> dict[str, Any]:
    """Return the data of a network that stand in a page."""
    found = re.search(rb'<script type="application/json" id="data">(.*?)</script>', page)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


@contextmanager
def open_drawing(
    browser: Any, model: Model, folder: Path, width: int = 1280, scheme: str = "light"
) -> Iterator[DrawnPage]:
    """Export a model to `page.html` in a folder, and open that."""
    file = folder / "page.html"
    file.write_bytes(html_bytes(model))
    with open_page(browser, file, width, scheme) as opened:
        opened.page.wait_for_selector("#bars li")
        yield DrawnPage(*opened)


def strokes_of(digit: int, seed: int) -> list[Stroke]:
    """Return strokes as a person draws a digit: each time in another way, size and place."""
    random = np.random.default_rng(seed)
    way = WAYS[digit][random.integers(len(WAYS[digit]))]
    size, slant = random.uniform(0.3, 0.75), random.uniform(-0.2, 0.2)
    left, top = random.uniform(0.1, 0.85 - 0.7 * size), random.uniform(0.08, 0.92 - size)
    strokes = []
    for points in way:
        corners = np.array([(int(point[0]) / 9, int(point[1]) / 9) for point in points.split()])
        corners += random.normal(0, 0.025, corners.shape)
        corners[:, 0] += slant * (0.5 - corners[:, 1])
        steps = np.arange(0, len(corners) - 0.99, 0.5)
        x, y = (np.interp(steps, np.arange(len(corners)), corners[:, axis]) for axis in (0, 1))
        strokes.append(
            list(zip((left + size * x).tolist(), (top + size * y).tolist(), strict=True))
        )
    return strokes


def predicted(model: Model, picture: Picture) -> Answer:
    """Return what `mlp predict` answers to a picture."""

    def fail(error: Exception) -> None:
        raise error

    (answer,) = Predictor([model]).answers([picture], fail)
    return answer
