"""`mlp eval --data-path` on data that the network was not trained beside."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.named_runs import NAMES, SIDE, images_to_test, write_table
from helpers.stand_ins import idx

from mlp_cli import SilentObserver, evaluate, train
from mlp_cli.errors import DataError
from mlp_cli.inference.evaluate import evaluate_checkpoints
from mlp_cli.inference.evaluation import Evaluation

Mlp = Callable[..., subprocess.CompletedProcess[str]]
FOLDER = f"own-{SIDE}x{SIDE}-3"


def score(run: Path, path: Path) -> tuple[Evaluation, list[str]]:
    """Score a run on other data, and return the warnings too."""
    warnings: list[str] = []
    return evaluate_checkpoints([run], "test", Path("none"), path, warnings.append), warnings


def test_a_table_of_the_test_images_has_the_same_score(numbered: Path, tmp_path: Path) -> None:
    images, labels = images_to_test(numbered.parent)
    expected = evaluate(numbered)
    table = write_table(tmp_path / "t.csv", images, labels.tolist())
    found, (warning,) = score(numbered, table)
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    assert found.scores.loss == pytest.approx(expected.scores.loss)
    assert warning == f"{table}: there is no test set, so its only set of 30 images is used."
    assert found.dataset == str(table)


def test_only_some_of_the_classes_may_be_there(numbered: Path, tmp_path: Path) -> None:
    images, labels = images_to_test(numbered.parent)
    some = labels != 0  # so the table's first class is the network's second
    found, _ = score(numbered, write_table(tmp_path / "t.csv", images[some], labels[some].tolist()))
    np.testing.assert_array_equal(found.labels, labels[some])
    np.testing.assert_array_equal(found.confusion[1:], evaluate(numbered).confusion[1:])


def test_a_class_that_the_network_does_not_know_is_refused(numbered: Path, tmp_path: Path) -> None:
    images, labels = images_to_test(numbered.parent)
    table = write_table(tmp_path / "t.csv", images, (labels + 1).tolist())
    with pytest.raises(DataError, match=r"t.csv: it has images of class 3, but the classes of"):
        score(numbered, table)


def other_order(parent: Path, named: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Copy a run's data, with the last class first."""
    folder = parent / "other"
    shutil.copytree(named.parent / FOLDER, folder)
    for name in ("train", "t10k"):
        path = folder / f"{name}-labels-idx1-ubyte"
        labels = np.frombuffer(path.read_bytes()[8:], np.uint8)
        path.write_bytes(idx((labels + 1) % 3))
    (folder / "labels.txt").write_text("\n".join((names[2], *names[:2])))
    return folder


def test_classes_are_matched_by_their_names(named: Path, tmp_path: Path) -> None:
    found, (warning,) = score(named, other_order(tmp_path, named))
    np.testing.assert_array_equal(found.confusion, evaluate(named).confusion)
    assert "t10k-labels-idx1-ubyte differs. The scores are of the new one." in warning


def test_names_and_numbers_are_matched_by_number_and_that_is_said(
    named: Path, numbered: Path, tmp_path: Path
) -> None:
    images, labels = images_to_test(named.parent)
    table = write_table(tmp_path / "t.csv", images, labels.tolist())
    found, (_, warning) = score(named, table)
    np.testing.assert_array_equal(found.confusion, evaluate(named).confusion)
    assert "matched by their numbers: 0 for cat, 1 for dog, 2 for a bird." in warning
    found, (_, warning) = score(numbered, other_order(tmp_path, numbered))
    np.testing.assert_array_equal(found.labels, (labels + 1) % 3)
    assert "matched by their numbers: a bird for 0, cat for 1, dog for 2." in warning


def test_a_folder_without_names_is_matched_by_number(named: Path, tmp_path: Path) -> None:
    shutil.copytree(named.parent / FOLDER, tmp_path / "copy")
    (tmp_path / "copy" / "labels.txt").unlink()
    found, (warning,) = score(named, tmp_path / "copy")
    np.testing.assert_array_equal(found.confusion, evaluate(named).confusion)
    assert "matched by their numbers: 0 for cat, 1 for dog, 2 for a bird." in warning


def test_images_of_another_size_are_refused_with_the_remedy(named: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", np.zeros((4, 5, 5), np.uint8), [0, 1, 2, 0])
    with pytest.raises(DataError) as caught:
        score(named, table)
    assert f"{table}: the images have 5×5 pixels, but {named / 'best.npz'} takes 6×6" in str(
        caught.value
    )
    assert f"`mlp data import {table} DIR --size 6x6`" in str(caught.value)


def test_the_images_of_training_are_known_again(named: Path, tmp_path: Path) -> None:
    for path in [*(named.parent / FOLDER).glob("train*"), named.parent / FOLDER / "labels.txt"]:
        shutil.copy(path, tmp_path)
    found, (warning,) = score(named, tmp_path)
    assert found.scores.n == 120
    assert warning.endswith(f"is used. {named / 'best.npz'} was trained on these images.")


def test_a_test_set_without_labels_is_predicted_and_not_trained_with(
    named: Path, tmp_path: Path
) -> None:
    images, labels = images_to_test(named.parent)
    write_table(tmp_path / "train.csv", images, labels.tolist())  # as Kaggle's tables are
    write_table(tmp_path / "test.csv", images, None)
    found, warnings = score(named, tmp_path)
    assert (found.labels, warnings) == (None, [])
    config = {"data": {"path": str(tmp_path), "validation": 6}, "model": {"hidden": []}}
    with pytest.raises(DataError, match=r"no labels for the test set.*data\.test=false"):
        train(config, out=tmp_path / "run", observer=SilentObserver())
    run = train(config, out=tmp_path / "run", set={"data.test": False}, observer=SilentObserver())
    assert run.model().classes == 3


@pytest.mark.parametrize("kind", ["a table", "IDX files"])
def test_images_without_labels_are_only_predicted(kind: str, named: Path, tmp_path: Path) -> None:
    images, _ = images_to_test(named.parent)
    path = tmp_path / "t.csv"
    if kind == "a table":
        write_table(path, images, None)
    else:
        path = tmp_path / "images"
        path.mkdir()
        shutil.copy(named.parent / FOLDER / "t10k-images-idx3-ubyte", path)
    found, _ = score(named, path)
    np.testing.assert_array_equal(found.predictions, evaluate(named).predictions)
    assert found.labels is None
    assert found.predicted.tolist() == np.bincount(found.predictions, minlength=3).tolist()
    assert "no labels in 30 images" in repr(found)
    with pytest.raises(DataError, match="the images have no labels, so there are no scores"):
        _ = found.accuracy


def test_the_command_shows_the_predictions_of_images_without_labels(
    named: Path, tmp_path: Path, mlp: Mlp
) -> None:
    images, _ = images_to_test(named.parent)
    table = write_table(tmp_path / "t.csv", images, None)
    told = mlp("eval", named, "--data-path", table, "--predictions", "p.csv")
    assert told.returncode == 0, told.stderr
    assert "t.csv: 30 images without labels" in told.stdout
    assert "   dog      10" in told.stdout
    with (tmp_path / "p.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {(line["label"], line["label_name"]) for line in lines} == {("", "")}
    assert [line["prediction_name"] for line in lines[:3]] == list(NAMES)


@pytest.mark.long
def test_the_json_of_images_without_labels_has_null_for_each_score(
    named: Path, tmp_path: Path, mlp: Mlp
) -> None:
    table = write_table(tmp_path / "t.csv", images_to_test(named.parent)[0], None)
    printed = json.loads(mlp("eval", named, "--data-path", table, "--json").stdout)
    nulls = ["errors", "accuracy", "error_ci95", "loss", "per_class", "confusion"]
    assert [key for key, value in printed.items() if value is None] == nulls
    assert (printed["n"], printed["predicted"]) == (30, [10, 10, 10])
    labelled = json.loads(mlp("eval", named, "--json").stdout)
    assert list(labelled) == [key for key in printed if key != "predicted"]


@pytest.mark.long
@pytest.mark.parametrize("option", [["--max-error", "5"], ["--mistakes", "m.png"]])
def test_what_needs_labels_is_refused_without_them(
    option: list[str], named: Path, tmp_path: Path, mlp: Mlp
) -> None:
    table = write_table(tmp_path / "t.csv", images_to_test(named.parent)[0], None)
    done = mlp("eval", named, "--data-path", table, "--predictions", "p.csv", *option)
    assert done.returncode == 2
    assert f"{option[0]} needs labels, but the images of {table} have none." in done.stderr
    assert not (tmp_path / "p.csv").exists()


def test_the_other_splits_are_still_of_the_data_of_training(named: Path, tmp_path: Path) -> None:
    images, labels = images_to_test(named.parent)
    table = write_table(tmp_path / "t.csv", images, labels.tolist())
    with pytest.raises(DataError, match=r"are not the data that .* was trained on"):
        evaluate(named, split="validation", data_path=table)


def test_a_table_trains_and_its_missing_test_set_is_said(named: Path, tmp_path: Path) -> None:
    images, labels = images_to_test(named.parent)
    table = write_table(tmp_path / "t.csv", images, labels.tolist())
    config = {"data": {"path": str(table), "validation": 6}, "model": {"hidden": []}}
    with pytest.raises(DataError, match=r"there is no test set.*data.test=false.*--test-share"):
        train(config, out=tmp_path / "run", observer=SilentObserver())
    few = {"data.test": False, "training.epochs": 1}
    run = train(config, out=tmp_path / "run", set=few, observer=SilentObserver())
    assert evaluate(run, split="validation").scores.n == 6
