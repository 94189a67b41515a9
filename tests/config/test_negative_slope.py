"""The slope of leaky_relu in a configuration, a run and a checkpoint; the default initialisers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from golden.make import probes, write_data

from mlp_cli import SilentObserver, load, load_config, train
from mlp_cli.config.load import differences, dump_config, from_dict
from mlp_cli.config.model_section import ActivationName
from mlp_cli.errors import ConfigError

OTHERS = [name for name in get_args(ActivationName) if name != "leaky_relu"]


def leaky(slope: float | None = None) -> dict[str, object]:
    return {"model": {"activation": "leaky_relu", "negative_slope": slope}}


def test_the_default_slope_is_that_of_leaky_relu_alone() -> None:
    assert load_config(leaky()).model.negative_slope == 0.01
    for name in OTHERS:
        assert load_config({"model": {"activation": name}}).model.negative_slope is None


@pytest.mark.parametrize("name", OTHERS)
def test_a_slope_of_another_activation_is_refused_with_the_change_that_clears_it(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(dump_config(load_config(leaky(0.2))))
    changes = [f"model.activation={name}"]
    with pytest.raises(ConfigError) as caught:
        load_config(path, changes)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert f"belongs to leaky_relu, but model.activation is {name}." in message
    clearing = set(re.findall(r"--set ([\w.]+=null)", message))
    assert load_config(path, [*changes, *clearing]).model.negative_slope is None


def test_a_faulty_slope_of_another_activation_is_one_fault() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({"model": {"activation": "relu", "negative_slope": 2}})
    assert str(caught.value).count("negative_slope") == 1


@pytest.mark.parametrize("name", get_args(ActivationName))
def test_the_configuration_of_an_older_run_has_no_slope_and_equals_the_new_one(name: str) -> None:
    new = from_dict({"model": {"activation": name}}, "new")
    stored = new.to_dict()
    del stored["model"]["negative_slope"]
    older = from_dict(stored, "older")
    assert older == new
    assert differences(older, new) == []


@pytest.mark.parametrize("name", ["softplus", "silu", "gelu"])
def test_the_smooth_activations_begin_with_he_normal(name: str) -> None:
    assert load_config({"model": {"activation": name}}).model.init == "he_normal"


def test_a_run_trains_resumes_and_predicts_with_its_slope(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_data(data)
    changes = {
        "data.path": str(data), "data.validation": 12, "data.test": False, "model.hidden": [5, 4],
        "model.activation": "leaky_relu", "training.batch_size": 16, "training.epochs": 1,
        "optimizer.momentum": 0.5, "training.dtype": "float64",
    }  # fmt: skip
    runs = {}
    for slope in (None, 0.01, 0.5):
        options = {**changes, "model.negative_slope": slope}
        out = tmp_path / str(slope)
        for epochs in (1, 3):
            runs[slope] = train(
                {}, out=out, set={**options, "training.epochs": epochs}, kernels="numpy",
                observer=SilentObserver(), resume=True,
            )  # fmt: skip
    with pytest.raises(ConfigError, match=r"differs from the run's in model\.negative_slope"):
        train(
            {}, out=tmp_path / "None", set={**changes, "model.negative_slope": 0.5},
            observer=SilentObserver(), resume=True,
        )  # fmt: skip
    found = {slope: load(run.path).predict_proba(probes()) for slope, run in runs.items()}
    np.testing.assert_array_equal(found[None], found[0.01])
    assert np.abs(found[0.5] - found[0.01]).max() > 1e-4

    with (
        np.load(runs[0.5].path / "best.npz") as arrays,
        np.load(runs[0.01].path / "best.npz") as of,
    ):
        assert np.abs(arrays["layers.2.weight"] - of["layers.2.weight"]).max() > 1e-4
        a = probes().reshape(8, -1) / 255
        for layer in range(3):
            z = a @ arrays[f"layers.{layer}.weight"].T + arrays[f"layers.{layer}.bias"]
            a = np.where(z > 0, z, 0.5 * z)
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found[0.5], expected, rtol=1e-12)
