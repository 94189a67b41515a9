"""Small faults: capitals in a choice, and a prediction of no images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlp_cli import SilentObserver, load_config, train
from mlp_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("change", "meant"),
    [
        ("model.activation=ReLU", "relu"),
        ("model.activation=LeakyReLU", "leaky_relu"),
        ("optimizer.name=SGD", "sgd"),
        ("loss=MSE", "mse"),
        ("data.dataset=MNIST", "mnist"),
    ],
)
def test_capitals_do_not_hide_what_is_meant(change: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"Did you mean {meant}\?"):
        load_config({}, [change])


def test_a_prediction_of_no_images_is_empty(config: Path, tmp_path: Path) -> None:
    changes = {"training.epochs": 1}
    run = train(config, out=tmp_path / "run", set=changes, observer=SilentObserver())
    for shape in ((0, 8, 8), (0, 64)):
        none = np.zeros(shape, np.uint8)
        assert run.model().predict(none).shape == (0,)
        assert run.model().predict_proba(none).shape == (0, 10)
