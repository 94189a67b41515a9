"""A trainer on drawn digits, for any kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import load_dataset
from mlp_cli.training.build import build_trainer
from mlp_cli.training.trainer import Trainer


def trainer(
    kernels: Kernels,
    threads: int = 1,
    *,
    model: dict[str, object],
    classes: int = 10,
    lit: bool = False,
    **sections: object,
) -> Trainer:
    """Build a trainer on 1,000 drawn digits; `lit` makes every pixel of them lit.

    Its activation is smooth. ReLU's slope jumps at 0, where a difference of rounding makes one of
    two trainings learn from an example from which the other does not.
    """
    settings = {
        "data": {"dataset": "synthetic", "validation": 0},
        "model": {"activation": "tanh", **model},
        "training": {"epochs": 1, "batch_size": 64},
        **sections,
    }
    config = from_dict(settings, "the test")
    dataset = load_dataset(config, None)  # type: ignore[arg-type]
    train = replace(dataset.train, rows=dataset.train.rows[:1000])
    labels = (train.labels + 10 * (train.images[:, 400] > 99)) % classes
    train = replace(train, labels=labels.astype(np.uint8))
    if lit:
        train = replace(train, images=np.maximum(train.images, 1))
    dataset = replace(dataset, train=train, classes=classes)
    return build_trainer(config, dataset, Engine(ThreadTeam(threads), kernels))
