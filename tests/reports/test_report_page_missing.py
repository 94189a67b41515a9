"""A page is made whatever the run lacks, and says what is missing."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
from helpers.own_images import write_own_images
from helpers.pages import page_of, text_of, train_small
from helpers.written_runs import write_run

from mlp_cli.errors import ConfigError
from mlp_cli.reports.page.write import write_report

pytest.importorskip("jinja2", reason="needs the extra `report`")
pytest.importorskip("matplotlib", reason="needs the extra `report`")


def test_without_the_test_set_the_page_is_about_the_validation_images(
    page_images: Path, tmp_path: Path
) -> None:
    run = train_small(tmp_path / "run", page_images, **{"data.test": False})
    text = text_of(page_of([run], tmp_path / "a.html")[0])
    assert "% validation error" in text
    assert "of the 100 validation images" in text
    assert "The epoch was chosen by these images" in text
    assert " test images" not in text


def test_the_page_of_an_unfinished_run_does_not_read_the_test_set(tmp_path: Path) -> None:
    images = write_own_images(tmp_path, classes=3)
    run = train_small(tmp_path / "run", images)
    (run / "result.json").unlink()
    for file in images.glob("t10k-*"):
        file.unlink()
    page, told = page_of([run], tmp_path / "a.html")
    assert not told
    assert "This run has not finished." in page
    assert "of the 100 validation images" in text_of(page)


def test_a_page_without_images_says_what_is_missing(tmp_path: Path) -> None:
    images, gone = write_own_images(tmp_path, classes=3), tmp_path / "gone"
    run = train_small(tmp_path / "run", images)
    images.rename(gone)
    page, told = page_of([run], tmp_path / "a.html")
    (message,) = told
    assert message.startswith(f"{run}: The parts that need images are missing: data.path {images}")
    text = text_of(page)
    assert "The parts that need images are missing" in text
    assert "Confusion matrix" not in text
    assert "ΔW is the gradient" not in text
    for part in ("% test error", "Learning curves", "Norms of weights", "Configuration", "Repeat"):
        assert part in text
    write_report([run], tmp_path / "b.html", Path("data"), gone, told.append)
    assert len(told) == 1
    assert "Confusion matrix" in (tmp_path / "b.html").read_text()


def test_other_images_than_those_of_the_run_are_not_scored(page_run: Path, tmp_path: Path) -> None:
    other = write_own_images(tmp_path, train=900)
    told: list[str] = []
    write_report([page_run], tmp_path / "a.html", Path("data"), other, told.append)
    assert "these are not the data that" in told[0]
    assert "Confusion matrix" not in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        (["result.json"], "This run has not finished."),
        (["result.json", "best.npz"], "The network is missing"),
        (["metrics.jsonl"], "Confusion matrix"),
        (["env.json"], "Confusion matrix"),
        (["config.yaml"], "damaged"),
        (["result.json", "best.npz", "last.npz", "config.yaml", "metrics.jsonl"], "not finished"),
    ],
    ids=["result", "network", "metrics", "environment", "configuration", "nearly all"],
)
def test_a_run_without_some_of_its_files_has_a_page(
    removed: list[str], said: str, page_copy: Path, tmp_path: Path
) -> None:
    for name in removed:
        (page_copy / name).unlink()
    assert said in text_of(page_of([page_copy], tmp_path / "a.html")[0])


@pytest.mark.long
@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "result.json", "env.json",
                                  "best.npz", "divergence.json"])  # fmt: skip
def test_a_damaged_file_is_told_and_there_is_still_a_page(
    name: str, page_copy: Path, tmp_path: Path
) -> None:
    (page_copy / name).write_bytes(b"\xff{<script>\n")
    page, told = page_of([page_copy], tmp_path / "a.html")
    assert bool(told) == (name != "divergence.json")
    assert "<script" not in page
    assert "Norms of weights" in page or name == "best.npz"


def test_a_page_does_not_wait_for_a_named_pipe(page_copy: Path, tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "env.json", "divergence.json", "best.npz"):
        (page_copy / name).unlink(missing_ok=True)
        os.mkfifo(page_copy / name)
    assert "not a regular file" in page_of([page_copy], tmp_path / "a.html")[0]
    (tmp_path / "runs").mkdir()
    page_copy.rename(tmp_path / "runs" / "a")
    write_run(tmp_path / "runs" / "b")
    assert "1 damaged" in page_of([tmp_path / "runs"], tmp_path / "b.html")[0]


def test_extreme_numbers_have_a_page(page_copy: Path, tmp_path: Path) -> None:
    metrics, result = page_copy / "metrics.jsonl", page_copy / "result.json"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    for line in lines:
        line |= {"train_loss": 1e308, "val_loss": 1e-320, "train_accuracy": 1e300}
    metrics.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = json.loads(result.read_text())
    result.write_text(json.dumps({**found, "test_error_ci95": [-1e308, 1e308]}))
    page, _ = page_of([page_copy], tmp_path / "a.html")
    assert "0.00 to 100.00 %" in text_of(page)


def test_a_diverged_run_shows_its_last_steps(page_copy: Path, tmp_path: Path) -> None:
    (page_copy / "result.json").unlink()
    step = {"epoch": 1, "step": 7, "batch": 7, "learning_rate": 3.0, "loss": None,
            "weight_norms": [2.0, 3.5], "gradient_norms": [1.25, None]}  # fmt: skip
    (page_copy / "divergence.json").write_text(json.dumps({"steps": [step]}))
    text = text_of(page_of([page_copy], tmp_path / "a.html")[0])
    assert "This training diverged" in text
    assert "7 1 3 ∞ 2 3.5 1.25 ∞" in text


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {"model.hidden": []},
        {"model.batch_norm": True, "loss": "mse", "model.activation": "sigmoid"},
        {"data.validation": 0},
        {"data.validation": 0, "data.test": False},
        {"training.dtype": "float64", "training.epochs": 1},
    ],
    ids=str,
)
def test_each_kind_of_network_has_a_page(
    changes: dict[str, object], page_images: Path, tmp_path: Path
) -> None:
    run = train_small(tmp_path / "run", page_images, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page, told = page_of([run], tmp_path / "a.html")
    # Some of these networks train too little to be better than chance.
    other = [note for note in told if "chance" not in note]
    assert len(other) == ("data.test" in changes)
    assert "Norms of weights" in page


def test_many_classes_have_their_mistakes_but_no_matrix(tmp_path: Path) -> None:
    images = write_own_images(tmp_path, height=40, width=100, classes=40)
    run = train_small(tmp_path / "run", images, **{"training.epochs": 1})
    page, _ = page_of([run], tmp_path / "a.html")
    assert "Confusion matrix" not in page
    assert "Most frequent mistakes: " in page
    assert len(page) < 3_000_000


def test_a_page_needs_a_name_of_a_page(page_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.pdf: a report is a page"):
        write_report([page_run], tmp_path / "a.pdf", Path("data"), None, print)
