"""Classes are shown by their names, as text; without names, by their numbers."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import needs_chromium
from helpers.craft import opened, sealed
from helpers.drawn_pages import data_of, open_drawing
from helpers.named_runs import NAMES, images_to_test
from helpers.pages import page_of

from mlp_cli import evaluate, load
from mlp_cli.data.dataset import load_dataset
from mlp_cli.errors import CheckpointError
from mlp_cli.inference.committee import check_committee
from mlp_cli.inference.export.page.page import html_bytes
from mlp_cli.inference.predict import Predictor
from mlp_cli.reports.answers import answer_csv, answer_text, csv_head
from mlp_cli.reports.classes import LONGEST, NARROW
from mlp_cli.reports.text import evaluation_text, predictions_csv

HOSTILE = ("</script><img src=x onerror=alert(1)>", "\x1b[31m$\\bad$\n", "long " * 300)


def renamed(run: Path, to: Path, names: object) -> Path:
    """Return a copy of a run's best checkpoint with other names of its classes."""
    arrays, header = opened(run / "best.npz")
    header["data"]["names"] = names
    to.write_bytes(sealed(arrays, header))
    return to


@pytest.fixture
def hostile(named: Path, tmp_path: Path) -> Path:
    return renamed(named, tmp_path / "hostile.npz", list(HOSTILE))


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_the_tables_of_eval_name_the_classes(named: Path, numbered: Path) -> None:
    found, without = evaluation_text(evaluate(named)), evaluation_text(evaluate(numbered))
    for name in NAMES:
        assert f"\n{name:>6}  " in found
        assert f"→ {name}" in found
    assert "\n    0  " in without
    assert "→ 0" in without


def test_json_keeps_the_number_and_adds_the_name(named: Path, numbered: Path) -> None:
    found, without = evaluate(named).to_dict(), evaluate(numbered).to_dict()
    assert [(row["label"], row["name"]) for row in found["per_class"]] == [*enumerate(NAMES)]
    assert list(without["per_class"][0]) == ["label", "precision", "recall", "f1", "support"]
    assert list(found) == list(without)


def test_the_predictions_have_names_in_columns_of_their_own(named: Path, numbered: Path) -> None:
    head, *found = rows(predictions_csv(evaluate(named)))
    assert head == ["index", "label", "prediction", "probability", "label_name", "prediction_name"]
    assert len(found) == 30
    for _, label, prediction, _, *names in found:
        assert names == [NAMES[int(label)], NAMES[int(prediction)]]
    assert predictions_csv(evaluate(numbered)).startswith("index,label,prediction,probability\n")
    assert [len(row) for row in rows(predictions_csv(evaluate(numbered)))] == [4] * 31


def answer_of(run: Path) -> tuple[Predictor, Any]:
    predictor = Predictor([load(run)], raw=True)
    pictures = [("a.png", image.astype(np.float32)) for image in images_to_test(run.parent)[0][:2]]
    return predictor, list(predictor.answers(pictures, pytest.fail))[1]


def test_predict_names_the_class(named: Path, numbered: Path) -> None:
    predictor, answer = answer_of(named)
    assert answer_text(answer).startswith("   dog  ")
    assert csv_head(predictor).endswith(",probability,notes,prediction_name")
    assert rows(answer_csv(answer))[0][3:] == ["1", f"{answer.probability:.6f}", "", "dog"]
    assert (answer.to_dict()["prediction"], answer.to_dict()["name"]) == (1, "dog")
    predictor, answer = answer_of(numbered)
    assert answer_text(answer).startswith("1  ")
    assert csv_head(predictor).endswith(",probability,notes")
    assert "name" not in answer.to_dict()


def test_hostile_names_are_shown_escaped_and_cut(hostile: Path) -> None:
    evaluation = evaluate(hostile)
    lines = evaluation_text(evaluation).splitlines()
    assert not any("\x1b" in line for line in lines)
    assert max(map(len, lines[-4:])) <= LONGEST + 3 * (NARROW + 4)
    assert any(r"\x1b[31m$\bad$\n" in line for line in lines)
    assert "\x1b" not in predictions_csv(evaluation)


def test_the_page_to_draw_on_has_the_names_as_text(hostile: Path, numbered: Path) -> None:
    page = html_bytes(load(hostile))
    assert data_of(page)["names"] == [HOSTILE[0], r"\x1b[31m$\bad$\n", HOSTILE[2]]
    assert page.count(b"<img") == 0
    assert data_of(html_bytes(load(numbered)))["names"] == []


@pytest.mark.parametrize(
    "names",
    [["cat", "dog"], [*NAMES, "fish"], ["cat", "dog", 3], ["cat", "dog", None], "cat", None, {}],
)
def test_names_that_the_program_never_writes_are_one_message(
    names: object, named: Path, tmp_path: Path
) -> None:
    path = renamed(named, tmp_path / "odd.npz", names)
    with pytest.raises(CheckpointError, match=r"its data(\.names are not| has names = )"):
        load(path)


def test_a_checkpoint_without_names_loads(named: Path, tmp_path: Path) -> None:
    arrays, header = opened(named / "best.npz")
    del header["data"]["names"]
    (tmp_path / "old.npz").write_bytes(sealed(arrays, header))
    assert load(tmp_path / "old.npz").names == ()


def test_networks_with_other_names_are_no_committee(named: Path, tmp_path: Path) -> None:
    other = load(renamed(named, tmp_path / "other.npz", ["dog", "cat", "a bird"]))
    with pytest.raises(CheckpointError, match="have other names for their classes"):
        check_committee([load(named), other])
    check_committee([load(named), load(renamed(named, tmp_path / "none.npz", []))])


@pytest.mark.long
def test_pictures_of_mistakes_take_any_name(named: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    from mlp_cli.reports.figures import draw_mistakes

    evaluation = evaluate(renamed(named, tmp_path / "odd.npz", [*HOSTILE[:2], "数字"]))
    wrong = replace(evaluation, predictions=(evaluation.predictions + 1) % 3)
    for name in ("mistakes.svg", "mistakes.png"):  # a warning would be an error
        draw_mistakes(tmp_path / name, wrong)
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.long
def test_a_report_names_the_classes(named: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="needs the extra `report`")
    pytest.importorskip("matplotlib", reason="needs the extra `report`")
    page, _ = page_of([named], tmp_path / "named.html")
    for name in NAMES:
        assert f'<th scope="col">{name}</th>' in page
        assert f'<th scope="row">{name}</th>' in page
        assert f'<th scope="row" class="number">{name}</th>' in page


@pytest.mark.long
def test_a_report_shows_hostile_names_as_text(named: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="needs the extra `report`")
    pytest.importorskip("matplotlib", reason="needs the extra `report`")
    from mlp_cli.reports.page import scored

    model = load(renamed(named, tmp_path / "odd.npz", list(HOSTILE)))
    dataset = load_dataset(model.config, tmp_path)
    found = scored.score(model, dataset, "test")
    cut = ["</script><img src=x one…", r"\x1b[31m$\bad$\n", "long long long long lon…"]
    assert found.names == cut


@pytest.mark.long
@needs_chromium
def test_the_page_shows_hostile_names_cut_and_as_text(
    browser: Any, hostile: Path, tmp_path: Path
) -> None:
    with open_drawing(browser, load(hostile), tmp_path) as drawn:
        page = drawn.page
        drawn.draw([[(0.2, 0.2), (0.8, 0.8)]])
        labels = page.locator("#bars .label").all_inner_texts()
        assert labels[:2] == [HOSTILE[0], r"\x1b[31m$\bad$\n"]
        assert page.inner_text("#prediction") in (*labels, HOSTILE[2].strip())
        assert page.evaluate("document.querySelectorAll('main img').length") == 0
        width = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        for size in ({"width": 1200, "height": 900}, {"width": 360, "height": 740}):
            page.set_viewport_size(size)
            assert page.evaluate(width)
        assert drawn.messages == []
