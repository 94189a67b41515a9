"""Images are held out and left out by the seed, and by class if the configuration says so."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_cli import SilentObserver, evaluate, load_config, train
from mlp_cli.data.dataset import load_dataset
from mlp_cli.data.holding_out import hold_out
from mlp_cli.errors import ConfigError
from mlp_cli.inference.against import fair_split
from mlp_cli.inference.evaluate import load_data
from mlp_cli.inference.model import load
from mlp_cli.nn.buffers import Pixels, Rows
from mlp_cli.nn.rng import generator


def choose(labels: Pixels, seed: int = 0, **data: Any) -> tuple[Rows, Rows]:
    changes = {"seed": seed, **{f"data.{key}": value for key, value in data.items()}}
    return hold_out(labels, load_config({}, set=changes), "these images")


def counts(labels: Pixels, rows: Rows) -> np.ndarray:
    return np.bincount(labels[rows], minlength=256)


@st.composite
def images(draw: st.DrawFn) -> Pixels:
    """Labels of some classes in any order, with gaps in their numbers."""
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any))
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.uint8)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)


SEEDS = st.integers(0, 2**63 - 1)


@given(images(), SEEDS, st.data())
def test_the_held_out_images_are_those_of_earlier_releases(
    labels: Pixels, seed: int, data: st.DataObject
) -> None:
    n = len(labels)
    validation = data.draw(st.integers(0, n - 1))
    held_out = np.zeros(n, bool)
    held_out[generator(seed, "validation").permutation(n)[:validation]] = True
    rows, held = choose(labels, seed, validation=validation)
    assert rows.tolist() == np.flatnonzero(~held_out).tolist()
    assert held.tolist() == np.flatnonzero(held_out).tolist()


@given(images(), SEEDS, st.booleans(), st.booleans(), st.data())
def test_a_limit_takes_as_many_images_and_leaves_the_held_out_ones(
    labels: Pixels, seed: int, stratify: bool, consecutive: bool, data: st.DataObject
) -> None:
    spare = len(labels) - (len(set(labels.tolist())) if stratify or consecutive else 1)
    validation = data.draw(st.integers(0, spare))
    limit = data.draw(st.integers(1, len(labels) - validation))
    split = {"seed": seed, "validation": validation, "stratify": stratify}
    split["consecutive"] = consecutive
    whole, held_out = choose(labels, **split)
    rows, still_held_out = choose(labels, **split, limit=limit)
    assert len(held_out) == validation
    assert len(rows) == limit
    assert held_out.tolist() == still_held_out.tolist()
    assert set(rows) <= set(whole)
    assert sorted({*whole, *held_out}) == list(range(len(labels)))
    for chosen in (rows, held_out):
        assert (np.diff(chosen) > 0).all()


@given(images(), SEEDS, st.booleans(), st.data())
def test_the_images_of_a_smaller_limit_are_among_those_of_a_larger_one(
    labels: Pixels, seed: int, stratify: bool, data: st.DataObject
) -> None:
    limits = st.integers(1, len(labels))
    less, more = sorted((data.draw(limits), data.draw(limits)))
    split = {"seed": seed, "validation": 0, "stratify": stratify}
    few, _ = choose(labels, **split, limit=less)
    many, _ = choose(labels, **split, limit=more)
    if not stratify:
        assert set(few) <= set(many)
    for label in set(labels.tolist()):
        a, b = ({*rows[labels[rows] == label]} for rows in (few, many))
        assert a <= b or b <= a


@given(images(), SEEDS, st.data())
def test_consecutive_images_follow_one_another_in_their_class(
    labels: Pixels, seed: int, data: st.DataObject
) -> None:
    there = counts(labels, np.arange(len(labels)))
    validation = data.draw(st.integers(0, len(labels) - np.count_nonzero(there)))
    _, held_out = choose(labels, seed, validation=validation, consecutive=True)
    _, by_class = choose(labels, seed, validation=validation, stratify=True)
    assert counts(labels, held_out).tolist() == counts(labels, by_class).tolist()
    is_held_out = np.isin(np.arange(len(labels)), held_out)
    for label in set(labels.tolist()):
        mine = is_held_out[labels == label]  # in the order of the file, which is a ring
        assert np.count_nonzero(mine != np.roll(mine, 1)) <= 2


def test_consecutive_images_of_all_classes_come_from_the_same_part_of_the_file() -> None:
    labels = (np.arange(300) % 3).astype(np.uint8)
    starts = set()
    for seed in range(9):
        train, held_out = choose(labels, seed, validation=60, consecutive=True, limit=100)
        apart = np.diff([*held_out, held_out[0] + 300])
        assert np.count_nonzero(apart > 1) == 1
        start = int(held_out[(apart.argmax() + 1) % 60])
        assert start == generator(seed, "consecutive").integers(300)
        starts.add(start)
        assert np.diff(train).max() < 120  # of both sides of them
    assert len(starts) == 9


@given(images(), SEEDS, st.data())
def test_each_class_keeps_its_share(labels: Pixels, seed: int, data: st.DataObject) -> None:
    there = counts(labels, np.arange(len(labels)))
    validation = data.draw(st.integers(0, len(labels) - np.count_nonzero(there)))
    limit = data.draw(st.integers(1, len(labels) - validation))
    whole, held_out = choose(labels, seed, validation=validation, stratify=True)
    rows, _ = choose(labels, seed, validation=validation, stratify=True, limit=limit)
    left = there - counts(labels, held_out)
    assert (left[there > 0] >= 1).all()
    assert counts(labels, whole).tolist() == left.tolist()
    trained = counts(labels, rows)
    assert (abs(trained - limit * left / left.sum()) < 1).all()
    if (np.ceil(validation * there / len(labels)) < there)[there > 0].all():  # all can spare it
        assert (abs(counts(labels, held_out) - validation * there / len(labels)) < 1).all()


def test_largest_remainders_get_one_more() -> None:
    labels = np.repeat(np.arange(3), (48, 30, 22)).astype(np.uint8)
    _, held_out = choose(labels, validation=10, stratify=True)  # shares 4.8, 3.0 and 2.2
    assert counts(labels, held_out)[:3].tolist() == [5, 3, 2]


def test_another_seed_holds_out_and_trains_on_other_images() -> None:
    labels = (np.arange(300) % 3).astype(np.uint8)
    for stratify in (False, True):
        split = {"validation": 60, "stratify": stratify, "limit": 60}
        a, b = choose(labels, 0, **split), choose(labels, 1, **split)
        for one, other in zip(a, b, strict=True):
            assert one.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": 30}, "has 30 training images. Give a number below 30."),
        ({"validation": 28, "stratify": True}, "data.stratify leaves one of each class. Give a"),
        ({"validation": 28, "consecutive": True}, "data.consecutive leaves one of each class."),
        ({"validation": 10, "limit": 21}, "cannot train on 21 images, because these images has 20"),
        ({"validation": 0, "limit": 31}, "Give a number up to 30, or null for all"),
    ],
)
def test_more_images_than_there_are_are_refused(changes: dict[str, Any], message: str) -> None:
    labels = (np.arange(30) % 3).astype(np.uint8)
    with pytest.raises(ConfigError) as caught:
        choose(labels, **changes)
    assert message in str(caught.value)


def test_a_run_trains_on_its_limit_everywhere(config: Path, tmp_path: Path) -> None:
    changes = {"data.limit": 70, "data.stratify": True, "data.scaling": "standard"}
    told: list[str] = []

    class Listener(SilentObserver):
        def log(self, message: str) -> None:
            told.append(message)

    run = train(config, out=tmp_path / "run", set=changes, observer=Listener())
    assert "70 training, 100 validation, 150 test images" in told[1]
    assert [line["step"] for line in run.metrics] == [3, 6, 9]
    dataset = load_dataset(load_config(run.path / "config.yaml"), tmp_path)
    pixels = dataset.train.images[dataset.train.rows] / 255
    with np.load(run.path / "best.npz") as checkpoint:
        assert checkpoint["input.mean"] == pytest.approx(pixels.mean(), rel=1e-6)
    assert evaluate(run.path, split="train").scores.n == 70
    assert evaluate(run.path, split="validation").scores.n == 100
    assert evaluate(run.path, split="test").scores.n == 150


@pytest.mark.long
def test_a_limit_belongs_to_a_run(
    config: Path, mlp: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    given = ("train", config, "--quiet", "--out", "run", "--set", "training.epochs=1")
    assert mlp(*given, "--set", "data.limit=70").returncode == 0
    for changes in ([], ["data.limit=71"], ["data.limit=70", "data.stratify=true"]):
        done = mlp(*given, "--resume", *(part for key in changes for part in ("--set", key)))
        assert done.returncode == 2
        key = "data.stratify" if len(changes) == 2 else "data.limit"
        assert f"the configuration differs from the run's in {key}." in done.stderr
    assert mlp("eval", "run", "--split", "train", "--json").returncode == 0


def test_runs_with_other_limits_are_compared_on_the_same_held_out_images(
    config: Path, tmp_path: Path
) -> None:
    def trained(name: str, **data: Any) -> Path:
        changes = {"training.epochs": 1, **{f"data.{key}": of for key, of in data.items()}}
        return train(config, out=tmp_path / name, set=changes).path

    whole, some, by_class = trained("a"), trained("b", limit=99), trained("c", stratify=True)
    assert fair_split(load(whole), load(some)) == "validation"
    assert fair_split(load(whole), load(by_class)) == "test"
    assert fair_split(load(whole), load(trained("d", consecutive=True))) == "test"
    assert evaluate([whole, some], split="validation").scores.n == 100
    with pytest.raises(ConfigError, match="trained on different images, because their"):
        evaluate([whole, some], split="train")
    with pytest.raises(ConfigError, match="held out different validation images"):
        evaluate([whole, by_class], split="validation")


def test_the_test_set_is_scored_without_the_training_images_of_a_limit(
    own_images: Callable[..., Path], config: Path, tmp_path: Path
) -> None:
    run = train(config, out=tmp_path / "run", set={"data.limit": 400, "training.epochs": 1})
    fewer = own_images(train=120, classes=5)  # and 30 test images
    dataset = load_data([load(run.path)], "test", tmp_path, fewer, lambda _: None)
    assert dataset.test is not None
    assert len(dataset.test) == 30
