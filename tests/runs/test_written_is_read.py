"""A training can read whatever it writes, for configurations made from the schema.

Every key of the schema is a switch with a few settings, and every pair of settings of two switches
occurs in some configuration (pairwise testing). A new key is tested without another line here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from helpers.networks import KERNELS
from helpers.own_images import write_own_images
from helpers.runs import assert_same_run
from helpers.selection import few
from pydantic import ValidationError

from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.compute.select import EngineChoice
from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config
from mlp_cli.inference.evaluate import evaluate_checkpoints
from mlp_cli.runs.claim import Mode
from mlp_cli.runs.train import RunOptions, train_run
from mlp_cli.training.metrics import EpochMetrics
from mlp_cli.training.observer import SilentObserver

# Settings that are not taken from the schema: sizes that a test has time for.
GIVEN: dict[str, list[Any]] = {
    "data.path": [],
    "data.views": [["raw"], ["upright", "raw", "width-12"]],
    "logging.tensorboard": [False],  # needs an extra
    "model.hidden": [[], [5], [6, 4]],
    "optimizer.learning_rate": [0.01],
    "data.validation": [0, 7],
    "data.limit": [None, 9],
    "training.epochs": [1, 2],
    "training.batch_size": [1, 8, 1_000_000],
}


def settings_of(key: str, entry: dict[str, Any]) -> list[Any]:
    """Return all settings of an enumeration; of another key, the default and one more."""
    if key in GIVEN:
        return GIVEN[key]
    found = [entry["default"]] if "default" in entry else []
    for option in entry.get("anyOf", [entry]):
        kind = option.get("type")
        if "enum" in option:
            found += option["enum"]
        elif "const" in option:
            found.append(option["const"])
        elif kind == "boolean":
            found += [False, True]
        elif kind in ("number", "integer"):
            low = option.get("minimum", option.get("exclusiveMinimum", 0))
            high = option.get("maximum", option.get("exclusiveMaximum", 1))
            found.append(max(int(low), 1) if kind == "integer" else min(max(low, 0.3), high))
        elif kind == "array":
            found.append([0.5, 0.5])
    return [value for i, value in enumerate(found) if value not in found[:i]]


def switches() -> list[dict[str, list[Any]]]:
    """Return the switches for every combination of an optimizer and a schedule."""
    schema = Config.model_json_schema()

    def walk(properties: dict[str, Any], prefix: str) -> Iterator[tuple[str, list[Any]]]:
        for name, entry in properties.items():
            if "$ref" in entry:
                section = schema["$defs"][entry["$ref"].rpartition("/")[2]]
                yield from walk(section["properties"], f"{prefix}{name}.")
            elif "oneOf" not in entry:
                yield prefix + name, settings_of(prefix + name, entry)

    common = dict(walk(schema["properties"], ""))
    choices = {
        name: [option["$ref"].rpartition("/")[2] for option in entry["oneOf"]]
        for name, entry in schema["properties"].items()
        if "oneOf" in entry
    }
    assert set(choices) == {"optimizer", "schedule"}
    return [
        common
        | {
            key: values
            for name, section in zip(choices, chosen, strict=True)
            for key, values in walk(schema["$defs"][section]["properties"], f"{name}.")
        }
        for chosen in itertools.product(*choices.values())
    ]


Setting = tuple[str, str]  # a key, and a value as text


def nested(chosen: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in chosen.items():
        section, _, name = key.rpartition(".")
        (data.setdefault(section, {}) if section else data)[name] = value
    return data


def valid(chosen: dict[str, Any]) -> bool:
    try:
        Config.model_validate(nested(chosen))
    except ValidationError:
        return False
    return True


def cover(
    switches: dict[str, list[Any]], seen: set[frozenset[Setting]]
) -> Iterator[dict[str, Any]]:
    """Yield configurations that contain every valid pair of settings that was not seen yet."""
    settings = {
        key: {repr(value): value for value in values} for key, values in switches.items() if values
    }
    always = {key: values[0] for key, values in switches.items() if key.endswith(".name")}
    for one, other in itertools.combinations(settings, 2):
        for pair in itertools.product(settings[one], settings[other]):
            picked = dict(zip((one, other), pair, strict=True))
            chosen = always | {key: settings[key][text] for key, text in picked.items()}
            if frozenset(picked.items()) in seen or not valid(chosen):
                continue
            for key in [key for key in settings if key not in picked]:
                old = {
                    text: sum(frozenset(((key, text), at)) in seen for at in picked.items())
                    for text in settings[key]
                }
                for text in sorted(old, key=old.__getitem__):
                    if valid({**chosen, key: settings[key][text]}):
                        chosen[key], picked[key] = settings[key][text], text
                        break
            seen |= {frozenset(both) for both in itertools.combinations(picked.items(), 2)}
            yield chosen


def configurations() -> list[dict[str, Any]]:
    seen: set[frozenset[Setting]] = set()
    return [chosen for each in switches() for chosen in cover(each, seen)]


class StopAfter(SilentObserver):
    """Asks a training to stop after so many epochs; 0 is before the first one."""

    def __init__(self, epochs: int | None) -> None:
        self._epochs = epochs

    def warn(self, message: str) -> None:
        if "no effect" not in message:  # some keys need others
            pytest.fail(message)

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        if self._epochs is not None:
            self._epochs -= 1

    @property
    def pending(self) -> bool:
        return self._epochs == 0

    def deferred(self) -> AbstractContextManager[None]:
        return nullcontext()

    immediate = deferred


CONFIGURATIONS = configurations()


def test_every_setting_of_every_key_occurs() -> None:
    for each in switches():
        for key, values in each.items():
            for value in values:
                assert any(
                    chosen.get(key) == value for chosen in CONFIGURATIONS if key in chosen
                ), key
    assert len(CONFIGURATIONS) < 300


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_images(tmp_path_factory.mktemp("images"), 4, 5, classes=3, train=24)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("number", few(range(len(CONFIGURATIONS)), 16))
def test_a_training_is_saved_resumed_and_evaluated(
    number: int, kernels: type[Kernels], images: Path, tmp_path: Path
) -> None:
    given = {**CONFIGURATIONS[number], "data.path": str(images)}
    config = from_dict(nested(given), "the test")
    engine = EngineChoice(threads=1 + number % 2, fast=kernels is not NumPyKernels)

    def train(name: str, epochs: int | None = None) -> dict[str, Any] | None:
        mode: Mode = "resume" if (tmp_path / name).exists() else "new"
        options = RunOptions(tmp_path, [], tmp_path / name, mode, "test", engine)
        stop = StopAfter(epochs)
        return train_run(config, options, stop, stop)[1]

    assert train("straight") is not None
    for epochs in (0, 1):
        if epochs < config.training.epochs:
            assert train("resumed", epochs) is None
    assert train("resumed") is not None
    assert_same_run(tmp_path / "straight", tmp_path / "resumed")
    for name in ("best.npz", "last.npz"):
        evaluation = evaluate_checkpoints([tmp_path / "resumed" / name], "train", tmp_path)
        assert evaluation.scores.n == (config.data.limit or 24 - config.data.validation)
