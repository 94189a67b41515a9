"""The page to draw on in a real Chromium: it answers as `mlp predict`, and only shows texts."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import needs_chromium
from helpers.drawn_pages import DrawnPage, data_of, open_drawing, predicted, strokes_of
from helpers.exports import KINDS, SHAPES, name, random_model
from helpers.proofs import Proof

from mlp_cli import Model, SilentObserver, load, train
from mlp_cli.data.pictures.reading import Picture, as_png, read_pictures
from mlp_cli.data.synthetic import draw_sample
from mlp_cli.inference.export.page.page import html_bytes
from mlp_cli.inference.predict import UNSURE
from mlp_cli.nn.activations import ACTIVATIONS

pytest.importorskip("PIL", reason="needs the extra `images`")

from helpers.drawn_pictures import make_picture
from PIL import Image

pytestmark = [pytest.mark.long, needs_chromium]

# The activations of numbers.
ACTIVATE = """([activation, negativeSlope, z]) => {
  const {mills} = JSON.parse(document.getElementById("data").textContent);
  return z.map(activationOf({activation, negativeSlope, mills}));
}"""

# Drop or paste a picture, in base64.
GIVE = """([event, file]) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(file), character => character.charCodeAt(0));
  data.items.add(new File([bytes], "a picture"));
  document.dispatchEvent(event === "drop"
    ? new DragEvent("drop", {dataTransfer: data})
    : new ClipboardEvent("paste", {clipboardData: data}));
}"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Model:
    """A network that was trained on drawn digits; outside a proof, a small one."""
    out = tmp_path_factory.mktemp("runs") / "run"
    hidden = [512, 256] if request.config.option.markexpr == "proof" else [40]
    config = {"data": {"dataset": "synthetic"}, "model": {"hidden": hidden}}
    train(config, out=out, set={"training.epochs": 2}, observer=SilentObserver())
    return load(out)


@pytest.fixture
def drawn(browser: Any, model: Model, tmp_path: Path) -> Iterator[DrawnPage]:
    """The page of that network."""
    with open_drawing(browser, model, tmp_path) as found:
        yield found
        assert found.messages == []
        assert found.requests == [(tmp_path / "page.html").as_uri()]


@pytest.mark.proof("V4 drawings on the page: answered as by predict")
def test_drawn_strokes_are_answered_as_predict_answers_the_same_picture(
    drawn: DrawnPage, model: Model, tmp_path: Path, proof: Proof
) -> None:
    for trial in proof.trials(3, 100):
        drawn.page.click("#clear", force=True)
        drawn.draw(strokes_of(trial % 10, trial))
        prediction, probability, notes = drawn.shown()
        answer = predicted(model, drawn.saved(tmp_path / f"{trial}.png"))
        assert answer.probability is not None
        assert prediction == str(answer.prediction)
        assert abs(float(probability.removesuffix(" %")) / 100 - answer.probability) < 0.005
        assert ("unsure" in notes) == (answer.probability < UNSURE)
        assert ("largest" in notes) == ("several" in answer.notes)


@pytest.mark.proof("V5 pictures on the page: prepared as by predict")
def test_pictures_are_prepared_and_answered_as_by_predict(
    drawn: DrawnPage, model: Model, proof: Proof
) -> None:
    digits = draw_sample(300)
    for trial in proof.trials(4, 300):
        values, kinds = make_picture(digits[trial], trial)
        answer = predicted(model, Picture("a picture", values))
        found = drawn.answer(as_png(values))
        if answer.seen.image is None:  # so pale that it is blank
            assert found["image"] is None, kinds
            continue
        image = np.array(found["image"]).reshape(28, 28)
        assert np.abs(image - answer.seen.image.astype(int)).max() <= 1, kinds
        assert (found["digits"], tuple(found["box"])) == (answer.seen.digits, answer.seen.box)
        assert int(np.argmax(found["probabilities"])) == answer.prediction, kinds


def test_every_kind_of_network_gives_the_probabilities_of_predict(
    drawn: DrawnPage, tmp_path: Path
) -> None:
    kinds: list[Any] = [*KINDS, *SHAPES]
    for n, kind in enumerate(kinds):
        model = random_model(tmp_path / f"{n}", **kind, data="own")
        data = data_of(html_bytes(model))
        for image in np.random.default_rng(n).integers(0, 256, (3, *model.image_shape), np.uint8):
            answer = predicted(model, Picture("an image", image))
            found = drawn.answer(as_png(image), data)["probabilities"]
            assert np.abs(np.array(found) - answer.probabilities).max() < 2e-4, name(kind)


def test_every_activation_of_the_page_is_that_of_the_network(drawn: DrawnPage) -> None:
    z = np.linspace(-12, 12, 97)
    for activation in ACTIVATIONS.values():
        if activation.name == "scaled_tanh":  # an export has tanh instead
            continue
        expected, kept, scratch = z.copy(), z.copy(), z.copy()
        activation.apply(expected, kept, scratch)
        found = drawn.page.evaluate(ACTIVATE, [activation.name, activation.constant, z.tolist()])
        np.testing.assert_allclose(found, expected, 1e-9, 1e-13, err_msg=activation.name)


def test_colours_transparency_and_orientation_are_read_as_by_predict(
    drawn: DrawnPage, model: Model, tmp_path: Path
) -> None:
    values, _ = make_picture(draw_sample(1)[0], 3)
    random = np.random.default_rng(0)
    coloured = np.stack([values, values // 2, 255 - values // 3], axis=-1)
    alpha = np.where(values < 128, 255, random.integers(0, 60, values.shape)).astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        "coloured.png": (Image.fromarray(coloured), {}),
        "transparent.png": (Image.fromarray(np.dstack([coloured, alpha])), {}),
        "turned.jpg": (Image.fromarray(values), {"exif": turned, "quality": 95}),
    }
    for file, (image, options) in files.items():
        image.save(tmp_path / file, **options)
        (picture,) = read_pictures(tmp_path / file)
        answer = predicted(model, picture)
        found = drawn.answer((tmp_path / file).read_bytes())
        assert int(np.argmax(found["probabilities"])) == answer.prediction, file
        assert answer.seen.image is not None
        seen = np.array(found["image"]).reshape(28, 28)
        assert np.abs(seen - answer.seen.image.astype(int)).mean() < 1, file
        assert abs(found["grey"] - picture.values.mean()) < 0.03, file
    drawn.page.set_input_files("#file", tmp_path / file)
    drawn.page.wait_for_selector("#frame:visible")
    assert drawn.shown()[0] == str(answer.prediction)


def test_blank_and_unreadable_files_are_told(drawn: DrawnPage, tmp_path: Path) -> None:
    blank = io.BytesIO()
    Image.new("L", (200, 100), 255).save(blank, "PNG")
    for content, note in (
        (blank.getvalue(), "blank, no ink was found"),
        (b"no picture", "<b>.png: this browser cannot read it as a picture."),
    ):
        (tmp_path / "<b>.png").write_bytes(content)
        drawn.page.set_input_files("#file", tmp_path / "<b>.png")
        drawn.page.get_by_text(note).wait_for()
        assert drawn.shown()[:2] == ("?", "")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(event: str, drawn: DrawnPage, model: Model) -> None:
    values, _ = make_picture(draw_sample(2)[1], 4)
    drawn.page.evaluate(GIVE, [event, base64.b64encode(as_png(values)).decode()])
    drawn.page.wait_for_selector("#frame:visible")
    assert drawn.shown()[0] == str(predicted(model, Picture("a picture", values)).prediction)


def test_undo_takes_back_a_stroke_and_clear_all(drawn: DrawnPage) -> None:
    page = drawn.page
    drawn.draw(strokes_of(1, 0))
    first = drawn.shown()
    drawn.draw([[(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]])
    assert drawn.shown() != first
    page.keyboard.press("Control+z")
    drawn.settle()
    assert drawn.shown() == first
    page.keyboard.press("Escape")
    drawn.settle()
    assert drawn.shown() == ("?", "", "")
    assert page.is_disabled("#undo")


def test_the_keyboard_draws(drawn: DrawnPage, model: Model, tmp_path: Path) -> None:
    page = drawn.page
    page.focus("#paper")
    keys = ["ArrowUp"] * 12 + [" "] + ["ArrowDown"] * 30 + [" "] + ["ArrowRight"] * 5
    for key in keys:
        page.keyboard.press(key)
    drawn.settle()
    answer = predicted(model, drawn.saved(tmp_path / "drawing.png"))
    assert drawn.shown()[0] == str(answer.prediction)
    assert answer.seen.image is not None


def test_a_finger_draws_and_does_not_scroll(browser: Any, model: Model, tmp_path: Path) -> None:
    with open_drawing(browser, model, tmp_path, width=390) as drawn:
        devices = drawn.page.context.new_cdp_session(drawn.page)
        box = drawn.page.locator("#paper").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 4
        for kind, down in (("touchStart", 0), ("touchMove", 60), ("touchMove", 150)):
            points = [{"x": x, "y": y + down}]
            devices.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        devices.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        drawn.settle()
        paper = "getComputedStyle(document.getElementById('paper'))"
        assert drawn.page.evaluate(f"{paper}.touchAction") == "none"
        assert drawn.shown()[0].isdigit()
        assert drawn.messages == []


def test_a_neuron_that_is_pointed_at_shows_its_activation_and_weights(
    drawn: DrawnPage, model: Model
) -> None:
    drawn.draw(strokes_of(3, 1))
    saw = "document.getElementById('seen').toDataURL()"
    before = drawn.page.evaluate(saw)
    drawn.page.hover("figure.layer canvas", position={"x": 3, "y": 3})
    assert drawn.page.inner_text("#neuron").startswith("Hidden layer 1, neuron 0: activation ")
    assert drawn.page.inner_text("#caption") == "Weights of neuron 0"
    assert drawn.page.evaluate(saw) != before
    drawn.page.hover("h1")
    drawn.settle()
    assert drawn.page.evaluate(saw) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_its_window(
    width: int, scheme: str, browser: Any, model: Model, tmp_path: Path
) -> None:
    with open_drawing(browser, model, tmp_path, width, scheme) as drawn:
        drawn.draw([[(0.4, 0.3), (0.6, 0.7)]])
        assert drawn.page.evaluate("document.documentElement.scrollWidth") == width
        dark = drawn.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(18, 21, 27)") == (scheme == "dark")
        assert drawn.page.locator("#prediction").bounding_box()["y"] < 900


def test_a_picture_for_a_network_of_other_data_is_only_scaled(browser: Any, tmp_path: Path) -> None:
    model = random_model(tmp_path / "run", shape=(6, 14), classes=30, data="own")
    with open_drawing(browser, model, tmp_path) as drawn:
        drawn.draw([[(0.2, 0.5), (0.8, 0.4)]])
        answer = predicted(model, drawn.saved(tmp_path / "drawing.png"))
        assert answer.seen.image is not None
        assert answer.seen.image.max() > 50  # bright ink on black
        assert answer.seen.image[0, 0] == 0
        assert drawn.shown()[0] == str(answer.prediction)
        assert drawn.page.locator("#bars li").count() == 12
        box = drawn.page.locator("#paper").bounding_box()
        assert abs(box["width"] / box["height"] - 14 / 6) < 0.02
        assert drawn.messages == []
