"""A key that has no effect is named when a training starts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli import SilentObserver, load_config, train
from mlp_cli.config.idle import idle_keys
from mlp_cli.config.shipped import shipped_configs

FLAT = {"model.hidden": []}
TURNED = {"distortion.rotation": 10}
CASES = [
    ({"data.validation": 0}, "data.stratify", True, "no images are held out"),
    ({"data.validation": 0}, "data.consecutive", True, "no images are held out"),
    (FLAT, "regularisation.dropout", 0.5, "model.hidden is []"),
    (FLAT, "regularisation.noise", 0.5, "model.hidden is []"),
    (FLAT, "regularisation.max_norm", 0.1, "model.hidden is []"),
    (FLAT, "model.batch_norm", True, "model.hidden is []"),
    (FLAT, "model.window", 2, "model.hidden is []"),
    ({}, "distortion.smoothness", [2, 3], "the other keys of distortion"),
    ({}, "distortion.ease", 0.5, "the other keys of distortion"),
    ({}, "distortion.eased", 0.5, "the other keys of distortion"),
    (TURNED, "distortion.smoothness", [2, 3], "distortion.elastic is [0, 0]"),
    (TURNED, "distortion.eased", 0.5, "distortion.ease is 0"),
]
IDS = [f"{key} with {' '.join(base) or 'the defaults'}" for base, key, *_ in CASES]


@pytest.mark.parametrize(("base", "key", "value", "reason"), CASES, ids=IDS)
def test_a_key_without_effect_is_named_and_has_none(
    base: dict[str, Any], key: str, value: Any, reason: str, config: Path, tmp_path: Path
) -> None:
    warned: list[str] = []

    class Listener(SilentObserver):
        def warn(self, message: str) -> None:
            warned.append(message)

    runs = []
    for number, change in enumerate([{}, {key: value}]):
        changes = {**base, "training.epochs": 1, **change}
        runs.append(train(config, out=tmp_path / f"{number}", set=changes, observer=Listener()))
    assert len(warned) == 1
    assert warned[0].startswith(f"{key} has no effect, because {reason}")
    with np.load(runs[0].path / "last.npz") as one, np.load(runs[1].path / "last.npz") as other:
        weights = [name for name in one.files if name.startswith("layers.")]
        assert weights
        for name in weights:
            assert one[name].tobytes() == other[name].tobytes(), name


@pytest.mark.parametrize(
    "changes",
    [
        {"data.stratify": True},
        {"data.stratify": True, "data.validation": 0, "data.limit": 9},
        {"regularisation.dropout": 0.5},
        {**FLAT, "regularisation.input_dropout": 0.5, "regularisation.average": 1},
        {**FLAT, "model.activation": "tanh"},  # it decides how the first weights are drawn
        {"distortion.elastic": [1, 2], "distortion.smoothness": [2, 3], "distortion.ease": 0.5},
        {**TURNED, "distortion.ease": 0.5, "distortion.eased": 0.5},
    ],
    ids=str,
)
def test_a_key_with_an_effect_is_not_named(changes: dict[str, Any]) -> None:
    assert idle_keys(load_config({}, set=changes)) == []


def test_no_shipped_configuration_has_a_key_without_effect() -> None:
    for shipped in shipped_configs():
        assert idle_keys(load_config(shipped.name)) == [], shipped.name


def test_all_keys_without_effect_are_warned_of_even_if_quiet(
    config: Path, mlp: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    idle = ("--set", "regularisation.dropout=0.5", "--set", "model.batch_norm=true")
    done = mlp("train", config, "--quiet", "--set", "model.hidden=[]", *idle)
    assert done.returncode == 0
    assert done.stderr == (
        "WARNING: model.batch_norm, regularisation.dropout have no effect, because model.hidden is "
        "[], so there is no hidden layer.\n"
    )
