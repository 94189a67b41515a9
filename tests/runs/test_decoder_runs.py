"""A decoder in a run's files: `last.npz` has its parameters, and a trained network does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlp_cli import load, train
from mlp_cli.storage.checkpoint import load_checkpoint

CONFIG: dict[str, Any] = {
    "data": {"dataset": "synthetic", "limit": 300, "validation": 50},
    "model": {"hidden": [12, 9], "batch_norm": True, "decoder": 100},
    "regularisation": {"input_noise": 0.3, "noise": 0.3, "average": 1},
    "optimizer": {"name": "adam"},
    "training": {"epochs": 2, "batch_size": 32},
}


def test_only_last_npz_has_the_decoder(tmp_path: Path) -> None:
    train(CONFIG, out=tmp_path / "run", kernels="numpy", threads=1)
    best, last = (load_checkpoint(tmp_path / "run" / f"{name}.npz") for name in ("best", "last"))
    assert not [name for name in best.arrays if name.startswith("decoder.")]
    shapes = {name: array.shape for name, array in last.arrays.items() if "decoder" in name}
    inputs = last.arrays["layers.0.weight"].shape[1]
    assert shapes == {
        "decoder.0.weight": (inputs, 12),
        "decoder.0.combinator": (inputs, 10),
        "decoder.1.weight": (12, 9),
        "decoder.1.combinator": (12, 10),
        "decoder.2.weight": (9, 10),
        "decoder.2.combinator": (9, 10),
    }
    images = np.zeros((3, inputs), np.uint8)
    for name in ("best", "last"):
        assert load(tmp_path / "run" / f"{name}.npz").predict(images).shape == (3,)


def test_a_decoder_changes_what_the_layers_learn_but_not_how_they_begin(tmp_path: Path) -> None:
    found = {}
    for weight in (None, 100, 200):
        config = {**CONFIG, "model": {**CONFIG["model"], "decoder": weight}}
        train(config, out=tmp_path / str(weight), kernels="numpy", threads=1)
        found[weight] = load_checkpoint(tmp_path / str(weight) / "last.npz").arrays
    weights = [found[weight]["layers.0.weight"] for weight in found]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[1], weights[2])
    assert found[None].keys() == {name for name in found[100] if not name.startswith("decoder.")}
