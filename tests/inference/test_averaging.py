"""Averaging over distortions: against a computation by hand, in threads, and of committees."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.own_images import write_own_images
from helpers.terminal import on_terminal

from mlp_cli import Config, MlpError, Model, Run, SilentObserver, evaluate, train
from mlp_cli.config.sections import DistortionConfig
from mlp_cli.data.batches import BatchReader
from mlp_cli.data.dataset import Split
from mlp_cli.data.distortion import Distorter
from mlp_cli.errors import ConfigError
from mlp_cli.inference.averaging import CHUNK, Averaging, averaged
from mlp_cli.inference.committee import log_probabilities
from mlp_cli.nn.rng import generator

Mlp = Callable[..., subprocess.CompletedProcess[str]]

SILENT = SilentObserver()
RECIPE = {"rotation": 30, "scale": 0.2, "shear": 0.2, "shift": 2, "elastic": [3, 6],
          "smoothness": [1, 1.5], "thickness": 0.5, "ease": 1}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two runs, the second with other distortions. The test set is a whole chunk and a part."""
    folder = tmp_path_factory.mktemp("averaging")
    images = write_own_images(folder, train=4 * (CHUNK + 100))
    base = {
        "data": {"path": str(images), "validation": 100},
        "model": {"hidden": [16]},
        "training": {"epochs": 1},
    }
    recipes = [RECIPE, {"shift": 1}]
    return [
        train({**base, "distortion": recipe, "seed": seed}, out=folder / str(seed), observer=SILENT)
        for seed, recipe in enumerate(recipes)
    ]


def by_hand(model: Model, split: Split, distortions: int, strength: float) -> np.ndarray:
    """Return the mean log-probabilities, normalised: distortion by distortion in a plain loop."""
    recipe = DistortionConfig(
        rotation=30 * strength, scale=0.2 * strength, shear=0.2 * strength, shift=2 * strength,
        elastic=(3 * strength, 6 * strength), smoothness=(1, 1.5), thickness=0.5 * strength,
    )  # fmt: skip
    (W, V), (b, c) = model.network.weights, model.network.biases
    total = np.zeros((len(split), model.classes))
    for start in range(0, len(split), CHUNK):
        rows = split.rows[start : start + CHUNK]
        distorter = Distorter(recipe, model.image_shape, CHUNK, 1, model.network.dtype)
        reader = BatchReader(
            split, model.classes, model.scaling, len(rows), model.network.dtype, distorter=distorter
        )
        reader.rows[:] = rows
        for number in range(distortions):
            drawn = generator(0, "averaging", number, start // CHUNK)
            distorter.begin(drawn, 0, len(rows), 0.0)
            z = np.maximum(reader.read(0, len(rows)) @ W.T + b, 0) @ V.T + c
            z -= z.max(axis=1, keepdims=True)
            total[start : start + CHUNK] += z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    mean = total / distortions
    normalised: np.ndarray = mean - np.log(np.exp(mean).sum(axis=1, keepdims=True))
    return normalised


def test_a_distortion_that_is_hardly_any_gives_the_plain_answers(runs: list[Run]) -> None:
    plain, found = evaluate(runs[0]), evaluate(runs[0], average=1, strength=1e-9)
    np.testing.assert_array_equal(found.predictions, plain.predictions)
    np.testing.assert_allclose(found.probabilities, plain.probabilities, rtol=1e-4)
    assert found.scores.loss == pytest.approx(plain.scores.loss, rel=1e-4)


def test_the_answers_are_the_mean_over_distortions_that_are_made_by_hand(runs: list[Run]) -> None:
    model, plain = runs[0].model(), evaluate(runs[0])
    expected = by_hand(model, plain.source, 3, 0.5)
    found = evaluate(runs[0], average=3, strength=0.5)
    assert found.errors != plain.errors
    np.testing.assert_array_equal(found.predictions, expected.argmax(axis=1))
    np.testing.assert_allclose(found.probabilities, np.exp(expected.max(axis=1)), rtol=1e-4)
    of_labels = expected[np.arange(len(expected)), found.true_labels]
    assert found.scores.loss == pytest.approx(-of_labels.mean(), rel=1e-4)


def test_any_number_of_threads_gives_the_same_bits(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    first = evaluate(runs, average=2)
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        again = evaluate(runs, average=2)
        np.testing.assert_array_equal(again.probabilities, first.probabilities)
        assert again.to_dict() == first.to_dict()


def test_what_is_drawn_for_an_image_depends_on_its_place_alone(runs: list[Run]) -> None:
    model, images = runs[0].model(), evaluate(runs[0]).source
    whole = averaged(model, images, Averaging(2, 1.0))
    part = averaged(model, Split(images.images, images.labels, images.rows[:30]), Averaging(2, 1.0))
    np.testing.assert_allclose(part, whole[:30], rtol=1e-4)
    elsewhere = Split(images.images, images.labels, images.rows[1:31])
    assert not np.allclose(averaged(model, elsewhere, Averaging(2, 1.0)), whole[1:31], rtol=1e-2)


def test_more_distortions_are_added_to_those_of_a_smaller_number(runs: list[Run]) -> None:
    model, images = runs[0].model(), evaluate(runs[0]).source
    one, two = (averaged(model, images, Averaging(n, 1.0)) for n in (1, 2))
    second = 2 * two - one
    assert not np.allclose(second, one, rtol=0.1)
    plain = model.network.loss.log_probabilities(model.logits(images))
    assert not np.allclose(one, plain, rtol=0.1)  # the image itself is not the first


def test_a_committee_is_the_mean_over_members_that_each_have_their_own_distortions(
    runs: list[Run],
) -> None:
    models, averaging = [run.model() for run in runs], Averaging(3, 0.5)
    images = evaluate(runs[0]).source
    votes = [log_probabilities([model], images, averaging) for model in models]
    expected = np.mean(votes, axis=0)
    expected -= np.log(np.exp(expected).sum(axis=1, keepdims=True))
    found = log_probabilities(models, images, averaging)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(votes[0], by_hand(models[0], images, 3, 0.5), rtol=1e-3, atol=1e-4)
    evaluation = evaluate(runs, average=3, strength=0.5)
    np.testing.assert_allclose(evaluation.probabilities, np.exp(expected.max(axis=1)), rtol=1e-9)


def test_progress_is_told_up_to_the_last_distortion(runs: list[Run]) -> None:
    models, images = [run.model() for run in runs], evaluate(runs[0]).source
    told: list[tuple[int, int]] = []
    log_probabilities(models, images, Averaging(3), lambda *now: told.append(now))
    assert len(told) > 3
    assert told == sorted(set(told))
    assert told[-1] == (6 * len(images), 6 * len(images))
    assert {total for _, total in told} == {6 * len(images)}


def test_a_bar_is_drawn_on_a_terminal_only(mlp: Mlp, runs: list[Run], tmp_path: Path) -> None:
    command = ["eval", runs[0].path, "--average", "3"]
    pane = on_terminal(command, 60, cwd=tmp_path)
    assert pane.returncode == 0
    assert re.search(r"distortions: +\d+%\|.*\| [\d.k]+/1.80k ", pane.written)
    assert "distortions:" not in pane.rows[0]
    done = mlp(*command)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"average": 0}, "average=0: give a whole number from 1 to 1000."),
        ({"average": True}, "average=True: give a whole number from 1 to 1000."),
        ({"average": 1001}, "average=1001: give a whole number from 1 to 1000."),
        ({"average": 2.0}, "average=2.0: give a whole number from 1 to 1000."),
        ({"average": 2, "strength": 0}, "strength=0: give a number above 0 and at most 1."),
        ({"average": 2, "strength": 1.1}, "strength=1.1: give a number above 0 and at most 1."),
        ({"average": 2, "strength": "1"}, "strength='1': give a number above 0 and at most 1."),
        ({"average": 2, "strength": np.nan}, "strength=nan: give a number above 0 and at most 1."),
        ({"strength": 0.2}, "strength needs average, the number of distortions."),
    ],
    ids=str,
)
def test_a_wrong_choice_is_refused_before_anything_is_read(
    choice: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate("nowhere", **choice)
    assert str(caught.value) == message


def test_weights_that_are_too_large_are_reported_from_any_thread(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    model, images = runs[0].model(), evaluate(runs[0]).source
    model.network.parameters *= np.float32(1e25)
    with pytest.raises(MlpError, match="its weights are so large"):
        averaged(model, images, Averaging(2))


@pytest.mark.long
def test_averages_of_real_digits_are_repeatable_and_hardly_worse_than_plain_answers(
    mnist_source: Path, tmp_path: Path
) -> None:
    recipe = {"rotation": 15, "scale": 0.15, "shear": 0.15, "shift": 2, "elastic": [20, 34]}
    config = Config.model_validate(
        {
            "data": {"limit": 4000, "validation": 1000, "test": False},
            "model": {"hidden": [128]},
            "distortion": recipe,
            "training": {"epochs": 2},
        }
    )
    run = train(config, out=tmp_path / "run", data_dir=tmp_path, mirrors=[str(mnist_source)],
                observer=SILENT)  # fmt: skip
    plain = evaluate(run, split="validation", data_dir=tmp_path)
    first, again = (
        evaluate(run, split="validation", data_dir=tmp_path, average=8) for _ in range(2)
    )
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    assert plain.errors < 300  # of 1,000
    assert first.errors < 1.2 * plain.errors
