"""The page of a run says what the run's files and `eval` say, and what is missing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.pages import contents, page_of, text_of, train_small

from mlp_cli.config.load import load_config
from mlp_cli.data.dataset import load_dataset
from mlp_cli.inference.evaluate import evaluate_checkpoints
from mlp_cli.inference.model import load
from mlp_cli.reports.page.network import batch_gradients
from mlp_cli.reports.page.run_contents import RunContents

pytest.importorskip("jinja2", reason="needs the extra `report`")
pytest.importorskip("matplotlib", reason="needs the extra `report`")


def test_the_page_has_the_figures_of_the_result_and_of_eval(
    page_run: Path, page_contents: RunContents, tmp_path: Path
) -> None:
    page, told = page_of([page_run], tmp_path / "a.html")
    result = json.loads((page_run / "result.json").read_text())
    found = evaluate_checkpoints([page_run], "test", Path("data"))
    text = text_of(page)
    assert not told
    low, high = (f"{100 * end:.2f}" for end in result["test_error_ci95"])
    assert f"{100 * (1 - result['test_accuracy']):.2f} % test error" in text
    assert f"{low} to {high} %" in text
    assert f"takes {found.errors} of 150 test images for a wrong class" in text
    for row in found.scores.per_class():
        shown = [row["label"], *(f"{100 * row[k]:.2f}" for k in ("precision", "recall", "f1"))]
        assert " ".join(map(str, [*shown, row["support"]])) in text
    matrix = page_contents.scored
    assert matrix is not None and matrix.confusion is not None
    assert [[cell.n for cell in row] for row in matrix.confusion] == found.confusion.tolist()


def test_the_worst_mistakes_come_first_with_what_the_network_thought(
    page_run: Path, page_contents: RunContents
) -> None:
    found = evaluate_checkpoints([page_run], "test", Path("data"))
    scored = page_contents.scored
    assert scored is not None
    sure = [mistake.answers[0].percent for mistake in scored.mistakes]
    assert len(sure) == min(24, found.errors) > 3
    assert sure == sorted(sure, reverse=True)
    wrong = found.predictions != found.labels
    assert sure[0] == pytest.approx(100 * found.probabilities[wrong].max())
    probabilities = load(page_run).predict_proba(found.source.images)
    for mistake in scored.mistakes:
        assert mistake.label == found.labels[mistake.number]
        expected = probabilities[mistake.number]
        assert [answer.label for answer in mistake.answers] == list(np.argsort(-expected)[:3])
        percents = [answer.percent for answer in mistake.answers]
        np.testing.assert_allclose(percents, 100 * np.sort(expected)[::-1][:3], rtol=1e-5)


def test_the_calibration_error_is_that_of_its_definition(
    page_run: Path, page_contents: RunContents
) -> None:
    found = evaluate_checkpoints([page_run], "test", Path("data"))
    pairs = list(zip(found.probabilities, found.predictions == found.labels, strict=True))
    error = 0.0
    for low in np.arange(15) / 15:
        inside = [(p, right) for p, right in pairs if low <= p < low + 1 / 15]
        gap = abs(sum(p - right for p, right in inside))
        error += gap / len(pairs)
    scored = page_contents.scored
    assert scored is not None
    assert scored.calibration.error == f"{100 * error:.2f} %"


def test_the_gradient_is_that_of_the_mean_loss_by_differences(
    page_run: Path, page_images: Path
) -> None:
    model = load(page_run)
    dataset = load_dataset(model.config, Path("data"))
    K, gradients = batch_gradients(model, dataset)
    assert K == 256
    first = dataset.train.rows[:K]
    x = (dataset.train.images[first] / 255 - model.scaling.mean) / model.scaling.std
    weights = [W.astype(np.float64) for W in model.network.weights]

    def loss() -> float:
        a = x
        for W, b in zip(weights, model.network.biases, strict=True):
            z = a @ W.T + b
            a = np.maximum(z, 0)
        z -= z.max(axis=1, keepdims=True)
        logs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -float(logs[np.arange(K), dataset.train.labels[first]].mean())

    for W, gradient in zip(weights, gradients, strict=True):
        at = np.unravel_index(np.abs(gradient).argmax(), W.shape)
        before, step = W[at], 1e-4
        W[at] = before + step
        above = loss()
        W[at] = before - step
        below = loss()
        W[at] = before
        assert gradient[at] == pytest.approx((above - below) / (2 * step), rel=1e-3)


def test_keys_that_differ_from_their_defaults_come_first(page_contents: RunContents) -> None:
    settings = page_contents.settings
    changed = [setting.key for setting in settings if setting.is_changed]
    assert changed == [setting.key for setting in settings[: len(changed)]]
    assert {"model.hidden", "optimizer.name", "distortion.rotation"} <= {*changed}
    assert "optimizer.beta1" not in changed
    values = {setting.key: setting.value for setting in settings}
    assert values["training.epochs"] == "2"


def test_the_configuration_on_the_page_repeats_the_run(
    page_run: Path, page_contents: RunContents, tmp_path: Path
) -> None:
    repeat = page_contents.repeat
    assert repeat is not None
    (tmp_path / "config.yaml").write_text(repeat.config)
    assert load_config(tmp_path / "config.yaml") == load_config(page_run / "config.yaml")
    threads = json.loads((page_run / "env.json").read_text())["threads"]
    assert f"mlp train config.yaml --out again --threads {threads}" in repeat.commands


def test_a_record_of_the_machine_cannot_add_a_command(page_copy: Path) -> None:
    environ = {"numpy": "2; rm -rf ~", "mlp": "1'\n$(id)", "threads": "2; id", "kernels": "; id"}
    (page_copy / "env.json").write_text(json.dumps(environ))
    repeat = contents(page_copy).repeat
    assert repeat is not None
    words = shlex.split(repeat.commands)
    assert words[:4] == ["pip", "install", "mlp-cli==1'\n$(id)", "numpy==2; rm -rf ~"]
    assert words[4:] == [
        "MLP_KERNELS=numpy", "mlp", "train", "config.yaml", "--out", "again",
        "mlp", "eval", "again", "mlp", "compare", str(page_copy), "again",
    ]  # fmt: skip


def test_distortions_are_shown_only_if_there_are_any(
    page_contents: RunContents, page_images: Path, tmp_path: Path
) -> None:
    (*_, seen) = page_contents.distortions
    assert len(seen.epochs) == 2
    assert len({seen.image, *(image for _, image in seen.epochs)}) == 3
    plain = train_small(tmp_path / "plain", page_images, **{"distortion.rotation": 0})
    assert not contents(plain).distortions


def test_the_same_run_gives_the_same_page(page_run: Path, tmp_path: Path) -> None:
    first, _ = page_of([page_run], tmp_path / "a.html")
    assert page_of([page_run], tmp_path / "b.html")[0] == first


def test_drawings_have_no_style_attributes_and_identifiers_of_their_own(
    page_run: Path, tmp_path: Path
) -> None:
    page, _ = page_of([page_run], tmp_path / "a.html")
    assert " style=" not in page
    identifiers = re.findall(r'\bid="([^"]*)"', page)
    assert len(identifiers) == len({*identifiers}) > 10
    referred = {*re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)}
    assert {a or b for a, b in referred} <= {*identifiers}
    drawings = re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        assert ElementTree.fromstring(drawing).attrib["aria-label"]
        assert "#0101" not in drawing
