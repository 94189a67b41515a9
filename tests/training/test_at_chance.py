"""A training that stays at chance says so once, with what to look at; others never do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.own_images import write_own_images
from helpers.runs import assert_equal_position, assert_same_run
from helpers.stand_ins import idx
from helpers.stopping import Stop, resume

from mlp_cli.compute.engine import numpy_engine
from mlp_cli.config.load import load_config
from mlp_cli.config.shipped import shipped_configs
from mlp_cli.data.dataset import Source, load_source
from mlp_cli.runs.records import read_result
from mlp_cli.storage.checkpoint import load_checkpoint, save_checkpoint
from mlp_cli.training.build import build_trainer
from mlp_cli.training.chance import chance_note, standing

LABELS = "train-labels-idx1-ubyte"
SLOW = {"optimizer.learning_rate": 1e-9}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_images(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_own_images(tmp_path_factory.mktemp("shuffled"))
    labels = np.random.default_rng(0).permutation(np.arange(600) % 10).astype(np.uint8)
    (folder / LABELS).write_bytes(idx(labels))
    return folder


def trained(
    run: Path, images: Path, changes: dict[str, Any], stop: Stop | None = None
) -> list[str]:
    """Train on images of one's own, and return the warnings."""
    base = {
        "data.path": images, "data.validation": 200, "model.hidden": [16], "training.epochs": 4,
        "training.batch_size": 4,
    }  # fmt: skip
    config = load_config({}, set={**base, **changes}, warn=lambda _: None)
    return resume(run, config, stop)[1]


def at_chance(run: Path) -> Any:
    return json.loads((run / "result.json").read_text())["at_chance"]


def test_a_tiny_rate_is_named_once(images: Path, tmp_path: Path) -> None:
    (note,) = trained(tmp_path / "run", images, {**SLOW, "data.stratify": True})
    first, second = note.split("\n")
    assert first.startswith("The network is at chance after 3 epochs: its best validation accuracy")
    assert first.endswith("always choosing the most frequent class gives 10.00 %.")
    causes = second.removeprefix("Look at, in this order: ").split("; ")
    assert causes[0] == "optimizer.learning_rate 1e-09 (usual for sgd: about 0.1)"
    assert causes[1].startswith("data.scaling")
    assert causes[2].startswith("whether the labels belong to the images")
    assert at_chance(tmp_path / "run") is True


def test_labels_that_do_not_belong_to_the_images_are_noticed(
    shuffled: Path, tmp_path: Path
) -> None:
    (note,) = trained(tmp_path / "run", shuffled, {"data.scaling": "standard"})
    assert "Look at, in this order: whether the labels belong to the images" in note
    assert at_chance(tmp_path / "run") is True


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"optimizer.learning_rate": 1e-9}, "optimizer.learning_rate 1e-09"),
        ({"optimizer.name": "adam", "optimizer.learning_rate": 30}, "optimizer.learning_rate 30"),
        (
            {"model.hidden": [9, 9, 9], "model.activation": "sigmoid"},
            "model.batch_norm (true helps 3 hidden layers of sigmoid)",
        ),
        ({"model.hidden": [9] * 6}, "model.batch_norm (true helps 6 hidden layers of relu)"),
        ({"model.init": "nielsen_large"}, "model.init nielsen_large (he_normal fits relu)"),
        ({"optimizer.weight_decay": 10}, "optimizer.weight_decay 10"),
        ({"regularisation.dropout": 0.9}, "the strength of regularisation"),
        ({"distortion.rotation": 180}, "the strength of distortion"),
        (
            {"training.batch_size": 400},
            "training.batch_size and training.epochs (there were only 3 steps)",
        ),
        ({}, "data.scaling"),
    ],
    ids=str,
)
def test_the_likeliest_cause_comes_first(
    changes: dict[str, Any], cause: str, shuffled: Path, tmp_path: Path
) -> None:
    notes = trained(tmp_path / "run", shuffled, {"training.epochs": 3, **changes})
    note = next(note for note in notes if "at chance" in note)
    assert f"\nLook at, in this order: {cause}" in note
    assert note.count("\n") == 1


@pytest.mark.parametrize("validation", [0, 20])
def test_the_training_images_decide_if_few_or_none_are_held_out(
    validation: int, images: Path, shuffled: Path, tmp_path: Path
) -> None:
    held_out = {"data.validation": validation}
    assert trained(tmp_path / "learns", images, held_out) == []
    assert at_chance(tmp_path / "learns") is False
    (note,) = trained(tmp_path / "slow", images, {**held_out, **SLOW})
    assert "its best training accuracy" in note
    assert at_chance(tmp_path / "slow") is True


def test_a_training_of_few_steps_is_told_after_300_of_them(images: Path, tmp_path: Path) -> None:
    few = {**SLOW, "training.batch_size": 32, "training.epochs": 26}  # 13 steps each
    (note,) = trained(tmp_path / "run", images, few)
    assert "at chance after 24 epochs" in note


def test_a_shorter_training_is_told_at_its_end(images: Path, tmp_path: Path) -> None:
    (note,) = trained(tmp_path / "one", images, {**SLOW, "training.epochs": 1})
    assert "at chance after 1 epoch:" in note
    patient = {"optimizer.learning_rate": 1e-30, "training.epochs": 9, "training.patience": 1}
    (note,) = trained(tmp_path / "stopped", images, patient)
    assert "at chance after 2 epochs:" in note


def test_a_training_that_begins_slowly_is_not_at_chance_in_the_end(
    images: Path, tmp_path: Path
) -> None:
    changes = {"schedule.warmup": 11, "training.epochs": 12, "optimizer.learning_rate": 0.0003}
    (note,) = trained(tmp_path / "run", images, changes)
    assert "at chance after 3 epochs" in note
    assert at_chance(tmp_path / "run") is False


def classes_of(folder: Path, share: float, n: int) -> Path:
    """Write images of two classes, a dark and a bright one; so many of the first."""
    folder.mkdir()
    generator = np.random.default_rng(5)
    for name, of in (("train", n), ("t10k", 40)):
        labels = (np.arange(of) >= share * of).astype(np.uint8)
        pixels = generator.integers(0, 120, (of, 6, 6)) + 120 * labels[:, None, None]
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(pixels.astype(np.uint8)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


@pytest.mark.parametrize("share", [0.5, 0.66, 0.95])
@pytest.mark.parametrize("validation", [0, 20, 100, 400])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_classes_that_are_learnt_are_never_at_chance(
    share: float, validation: int, seed: int, tmp_path: Path
) -> None:
    images = classes_of(tmp_path / "own", share, 1200)
    held_out = {"data.validation": validation, "seed": seed}
    assert trained(tmp_path / "run", images, held_out) == []
    assert at_chance(tmp_path / "run") in ((None, False) if share == 0.95 else (False,))


def test_a_network_that_always_chooses_the_frequent_class_is_at_chance(tmp_path: Path) -> None:
    images = classes_of(tmp_path / "own", 0.65, 1200)
    constant = {"optimizer.weight_decay": 9, "data.validation": 400, "data.stratify": True}
    (note,) = trained(tmp_path / "run", images, constant)
    assert "its best validation accuracy is 65.00 %, and always choosing" in note
    assert at_chance(tmp_path / "run") is True


def test_nothing_is_said_against_a_network_if_most_images_are_of_one_class(tmp_path: Path) -> None:
    images = classes_of(tmp_path / "own", 0.95, 1200)
    assert trained(tmp_path / "slow", images, {**SLOW, "data.validation": 400}) == []
    assert at_chance(tmp_path / "slow") is None
    longer = {"data.validation": 400, "training.epochs": 12}
    assert trained(tmp_path / "learns", images, longer) == []
    assert at_chance(tmp_path / "learns") is False


def test_nothing_is_said_of_fewer_than_100_images(tmp_path: Path) -> None:
    images = write_own_images(tmp_path, train=110)
    assert trained(tmp_path / "run", images, {**SLOW, "data.validation": 50}) == []
    assert at_chance(tmp_path / "run") is None


@pytest.mark.parametrize("epochs", [2, 3])
@pytest.mark.parametrize(
    "changes",
    [SLOW, {}, {**SLOW, "data.validation": 0}, {"data.validation": 0}],
    ids=["slow", "learns", "slow, without validation", "learns, without validation"],
)
def test_a_resumed_training_says_what_an_uninterrupted_one_says(
    epochs: int, changes: dict[str, Any], images: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    told = trained(whole, images, changes)
    assert told == [
        *trained(parts, images, changes, Stop(epochs=epochs)),
        *trained(parts, images, changes),
    ]
    assert at_chance(whole) is at_chance(parts) is bool(told)
    assert_same_run(whole, parts)
    assert_equal_position(whole, parts)


def test_a_resumed_training_remembers_that_an_epoch_was_better(
    images: Path, tmp_path: Path
) -> None:
    frozen = {
        "data.validation": 0, "schedule.name": "step", "schedule.every": 1, "schedule.factor": 1e-9,
    }  # fmt: skip
    run = tmp_path / "run"
    assert trained(run, images, frozen, Stop(epochs=2)) == []
    last = load_checkpoint(run / "last.npz")
    forgotten = {name: 0 * array for name, array in last.arrays.items() if "layers" in name}
    save_checkpoint(run / "last.npz", {**last.arrays, **forgotten}, last.header)
    assert trained(run, images, frozen) == []
    final = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert final["train_accuracy"] == 0.1
    assert at_chance(run) is False


def test_earlier_checkpoints_and_results_do_without_it(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(run, images, {"data.validation": 0})
    result = json.loads((run / "result.json").read_text())
    del result["at_chance"]
    (run / "result.json").write_text(json.dumps(result))
    assert read_result(run / "result.json") == {**result, "at_chance": None}
    (run / "result.json").unlink()
    last = load_checkpoint(run / "last.npz")
    del last.header["state"]["best_train_accuracy"]
    save_checkpoint(run / "last.npz", last.arrays, last.header)
    trained(run, images, {"data.validation": 0})
    assert at_chance(run) is None


@pytest.fixture(scope="module")
def drawn() -> Source:
    return load_source(load_config({}, set={"data.dataset": "synthetic"}).data, Path())


# The others have networks of several million weights, which take long.
RECIPES = ("keras-512-512", "lecun-300", "nielsen-100-l2", "sklearn-100-100", "srivastava-1024")
SHIPPED = [
    shipped.name
    for shipped in shipped_configs()
    if shipped.name.removeprefix("recipes/") in RECIPES or "/" not in shipped.name
]


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_configuration_begins_at_chance(name: str, drawn: Source) -> None:
    few = {"data.limit": 1500, "data.validation": 500, "training.epochs": 3}
    config = load_config(name, set=few)
    trainer = build_trainer(config, drawn.split(config), numpy_engine())
    for _ in range(3):
        trainer.train_epoch(lambda loss: False)
        assert chance_note(trainer, config) == ""
    found = standing(trainer)
    assert found is not None
    assert not found.at_chance
