"""Small faults of streams and files: help to a full disk, a configuration that may not be read."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlp_cli import SilentObserver, load_config, train
from mlp_cli.errors import ConfigError

ROOT = Path(__file__).parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("call", ["--help", "train -h", "config --help", "config list --help"])
def test_help_to_a_full_disk_is_one_message(call: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mlp_cli", *call.split()],
            env=ENVIRON, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 7
    assert done.stderr.startswith("Error: cannot write to standard output: No space left")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["train"], ["train", "--config"], ["gradcheck"]])
def test_a_configuration_that_may_not_be_read_is_exit_7(
    command: list[str], config: Path, tmp_path: Path
) -> None:
    def without_root() -> None:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)

    config.chmod(0)
    done = subprocess.run(
        [sys.executable, "-m", "mlp_cli", *command, config],
        cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, preexec_fn=without_root,
        check=False,
    )  # fmt: skip
    assert done.returncode == 7
    assert done.stderr.startswith(f"Error: cannot read {config}: Permission denied")


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
