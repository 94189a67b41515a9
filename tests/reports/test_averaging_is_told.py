"""Every output of `mlp eval --average` says that its answers are averages, and of what."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import click
import pytest
from helpers.own_images import write_own_images

from mlp_cli import Run, SilentObserver, evaluate, train
from mlp_cli.cli.main import cli, main
from mlp_cli.errors import ConfigError
from mlp_cli.reports.figures import draw_mistakes
from mlp_cli.reports.text import evaluation_text, predictions_csv

WORDS = "averaged over 3 distortions of each image, at strength 0.2"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two runs of one epoch that have learnt little: with distortions, and without."""
    folder = tmp_path_factory.mktemp("told")
    base = {"data": {"path": str(write_own_images(folder)), "validation": 100}, "seed": 1}
    still = {"model": {"hidden": [8]}, "training": {"epochs": 1}}
    return [
        train({**base, **still, **more}, out=folder / name, observer=SilentObserver())
        for name, more in (("distorted", {"distortion": {"shift": 2}}), ("plain", {}))
    ]


def run_eval(*words: object) -> None:
    """Run `mlp eval` in this process, and let its errors through."""
    cli.main(["eval", *map(str, words)], standalone_mode=False)


def test_the_text_of_a_network_and_of_a_committee_says_it(runs: list[Run]) -> None:
    one = evaluation_text(evaluate(runs[0], average=3, strength=0.2)).splitlines()
    assert WORDS in one[:4]
    two = evaluation_text(evaluate([runs[0]] * 2, average=3, strength=0.2)).splitlines()
    assert two[two.index(WORDS) - 1].startswith("(the mean of their log-probabilities;")
    assert "averaged" not in evaluation_text(evaluate(runs[0]))
    once = evaluation_text(evaluate(runs[0], average=1))
    assert "\naveraged over 1 distortion of each image, at strength 0.25\n" in once


def test_the_text_about_images_without_labels_says_it(runs: list[Run], tmp_path: Path) -> None:
    images = tmp_path / "unlabelled"
    images.mkdir()
    source = write_own_images(tmp_path) / "t10k-images-idx3-ubyte"
    (images / source.name).write_bytes(source.read_bytes())
    found = evaluate(runs[0], data_path=images, average=3, strength=0.2)
    assert found.labels is None
    assert WORDS in evaluation_text(found).splitlines()
    assert found.to_dict()["averaging"] == {"distortions": 3, "strength": 0.2}


def test_the_json_says_it_as_the_dictionary_does(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run_eval(runs[0], "--average", 3, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["averaging"] == {"distortions": 3, "strength": 0.25}
    assert printed == evaluate(runs[0], average=3).to_dict()
    assert "averaging" not in evaluate(runs[0]).to_dict()


def test_each_line_of_the_predictions_says_it(
    runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ("--average", 3, "--strength", 0.2)
    run_eval(runs[0], *chosen, "--predictions", tmp_path / "answers.csv")
    assert WORDS in capsys.readouterr().out
    written = (tmp_path / "answers.csv").read_text()
    assert written == predictions_csv(evaluate(runs[0], average=3, strength=0.2))
    rows = list(csv.DictReader(io.StringIO(written)))
    assert list(rows[0]) == [
        "index", "label", "prediction", "probability", "distortions", "strength",
    ]  # fmt: skip
    assert {(row["distortions"], row["strength"]) for row in rows} == {("3", "0.2")}
    run_eval(runs[0], *chosen, "--predictions", "-")
    assert capsys.readouterr().out == written


def test_the_columns_follow_the_names_of_classes(tmp_path: Path) -> None:
    images = write_own_images(tmp_path, classes=2, train=100)
    (images / "labels.txt").write_text("cat\ndog\n")
    named = {"data": {"path": str(images), "validation": 20}, "training": {"epochs": 1}}
    changes = {"distortion.shift": 1, "model.hidden": []}
    run = train(named, out=tmp_path / "run", set=changes, observer=SilentObserver())
    head, first, *_ = csv.reader(io.StringIO(predictions_csv(evaluate(run, average=2))))
    assert head[-4:] == ["label_name", "prediction_name", "distortions", "strength"]
    assert first[4] == "cat"
    assert first[-2:] == ["2", "0.25"]


@pytest.mark.long
def test_the_picture_of_mistakes_says_it_in_a_second_line(runs: list[Run], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    for name, found in (("plain", evaluate(runs[0])), ("averaged", evaluate(runs[0], average=3))):
        draw_mistakes(tmp_path / f"{name}.svg", found)
        drawn = (tmp_path / f"{name}.svg").read_text()
        words = "<!-- averaged over 3 distortions of each image, at strength 0.25 -->"
        assert (words in drawn) == (name == "averaged")
        assert " of 150 wrong -->" in drawn


def test_what_an_evaluation_says_of_itself_has_it(runs: list[Run]) -> None:
    assert repr(evaluate(runs[0], average=3, strength=0.2)).endswith(f" test, {WORDS}>")
    found = evaluate(runs[0], average=3, strength=0.2).averaging
    assert (found.distortions, found.strength) == (3, 0.2)
    assert evaluate(runs[0]).averaging is None


def test_a_network_without_distortions_is_refused_also_in_a_committee(runs: list[Run]) -> None:
    message = (
        f"{runs[1]}/best.npz was trained without distortions, so there are none to average over. "
        "Score it without averaging."
    )
    for paths in ([runs[1]], runs):
        with pytest.raises(ConfigError) as caught:
            run_eval(*paths, "--average", 8)
        assert (str(caught.value), caught.value.exit_code) == (message, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strength", "0.2"], "--strength needs --average, the number of distortions."),
        (["--average", "0"], "0 is not in the range 1<=x<=1000."),
        (["--average", "1001"], "1001 is not in the range 1<=x<=1000."),
        (["--average", "2.5"], "'2.5' is not a valid integer"),
        (["--average", "2", "--strength", "0"], "0.0 is not in the range 0<x<=1."),
        (["--average", "2", "--strength", "1.5"], "1.5 is not in the range 0<x<=1."),
    ],
    ids=" ".join,
)
def test_a_wrong_choice_is_a_usage_error(words: list[str], message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        run_eval("nowhere", *words)
    assert message in caught.value.format_message()
    assert caught.value.exit_code == 2


def test_no_number_is_no_strength(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", "nowhere", "--average", "2", "--strength", "nan"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "Error: strength=nan: give a number above 0 and at most 1.\n"
    )
