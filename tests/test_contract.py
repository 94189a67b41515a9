"""The contract that every activation, loss, initialiser and update rule keeps with every other.

A new entry of a registry is put to it without another line here.
"""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.checkpoint import load_checkpoint
from mlp_cli.config import Config, from_dict
from mlp_cli.data import Dataset, whole
from mlp_cli.errors import DivergedError
from mlp_cli.functions import ACTIVATIONS, INITIALISERS, LOSSES
from mlp_cli.gradcheck import compare
from mlp_cli.network import Backpropagation, Network
from mlp_cli.operations import Kernels, NumPyKernels, Operations
from mlp_cli.optimizer import OPTIMIZERS
from mlp_cli.resume import restore
from mlp_cli.run import build_trainer
from mlp_cli.rundir import RunFolder
from mlp_cli.saving import Saver
from mlp_cli.team import Team
from mlp_cli.trainer import Trainer

COMPONENTS = list(itertools.product(ACTIVATIONS, LOSSES, INITIALISERS))
RULES: list[dict[str, Any]] = [
    *({"name": name} for name in OPTIMIZERS),
    {"name": "sgd", "momentum": 0.9},
    {"name": "sgd", "momentum": 0.9, "nesterov": True},
]
KERNELS: list[type[Kernels]] = [NumPyKernels]
if importlib.util.find_spec("numba"):
    from mlp_cli.fast import FastKernels

    KERNELS.append(FastKernels)


def small(names: tuple[str, str, str], dtype: str) -> tuple[Network, np.ndarray, np.ndarray]:
    """A network of two hidden layers with 7 examples, the same numbers in either type."""
    activation, loss, init = names
    drawn = np.random.default_rng(0)
    network = Network([5, 6, 4, 3], activation, loss, dtype)
    network.initialise(init, drawn)
    return (
        network,
        drawn.normal(size=(7, 5)).astype(dtype),
        np.eye(3, dtype=dtype)[drawn.integers(3, size=7)],
    )


@pytest.mark.parametrize("names", COMPONENTS, ids="-".join)
def test_the_gradient_is_right_and_in_float32_nearly(names: tuple[str, str, str]) -> None:
    found = {}
    for dtype in ("float64", "float32"):
        network, x, y = small(names, dtype)
        found[dtype] = Backpropagation(network, len(x))
        found[dtype](x, y, np.empty_like(y))
    network, x, y = small(names, "float64")
    passes, drawn = Backpropagation(network, len(x)), np.random.default_rng(1)
    assert not compare(network, passes, x, y, drawn, Team(1), NumPyKernels()).wrong
    exact, near = found["float64"].gradient, found["float32"].gradient
    assert np.linalg.norm(near - exact) <= 1e-5 * np.linalg.norm(exact)


def types(arguments: object) -> set[np.dtype[Any]]:
    """The floating types among nested arguments."""
    if isinstance(arguments, np.ndarray):
        return {arguments.dtype} if arguments.dtype.kind == "f" else set()
    if isinstance(arguments, list | tuple):
        return {found for argument in arguments for found in types(argument)}
    return set()


class Watched(Operations):
    """NumPy's operations, which note the types of the arrays that they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[np.dtype[Any]]] = {}
        for name in ("product", "activate", "derive", "error", "update", "clip"):
            setattr(self, name, self._noting(name, getattr(self, name)))

    def _noting(self, name: str, operation: Any) -> Any:
        def noted(*arguments: Any) -> None:
            # An update's factors and the sum of squares are few, and float64.
            big = (
                arguments[1] if name == "update" else arguments[:1] if name == "clip" else arguments
            )
            self.seen.setdefault(name, set()).update(types(big))
            operation(*arguments)

        return noted


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_array_of_a_step_has_the_networks_type(rule: dict[str, Any], dtype: str) -> None:
    options = {key: value for key, value in rule.items() if key != "name"}
    for activation, loss in itertools.product(ACTIVATIONS, LOSSES):
        network, x, y = small((activation, loss, "lecun_normal"), dtype)
        passes, do = Backpropagation(network, len(x)), Watched()
        optimizer = OPTIMIZERS[rule["name"]](
            network.parameters, passes.gradient, network.weight_count,
            weight_decay=0.1, clip_norm=1.0, **options,
        )  # fmt: skip
        passes(x, y, np.empty_like(y), 0, do)
        optimizer.step(np.array(optimizer.factors(0.1, 1)), 0, do)
        assert len(do.seen) == 6
        assert {found for seen in do.seen.values() for found in seen} == {np.dtype(dtype)}


@pytest.mark.parametrize("names", COMPONENTS, ids="-".join)
def test_an_input_that_is_no_number_shows_in_its_examples_loss(names: tuple[str, str, str]) -> None:
    network, x, y = small(names, "float32")
    x[2, 1] = np.nan
    z, passes = np.empty_like(y), Backpropagation(network, len(x))
    passes(x, y, z)
    assert np.flatnonzero(~np.isfinite(network.loss.values(z, y))).tolist() == [2]
    assert not np.isfinite(passes.gradient).all()


def training(config: Config, kernels: type[Kernels], images: int = 20) -> Trainer:
    """A training on 20 images of 2 × 3 pixels in three classes; minibatches of 8, 8 and 4."""
    drawn = np.random.default_rng(0)
    pixels = drawn.integers(0, 256, (images, 2, 3)).astype(np.uint8)
    labels = (np.arange(images) % 3).astype(np.uint8)
    split = whole(pixels, labels)
    dataset = Dataset("tiny", (2, 3), 3, split, replace(split, rows=split.rows[:0]), None)
    return build_trainer(config, dataset, Team(1), kernels())


def state(trainer: Trainer) -> list[bytes]:
    """The bytes of all that an update reads and changes."""
    return [v.tobytes() for v in (trainer.network.parameters, *trainer.optimizer.slots.values())]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("names", COMPONENTS, ids="-".join)
def test_a_training_of_any_parts(
    names: tuple[str, str, str], rule: dict[str, Any], kernels: type[Kernels], tmp_path: Path
) -> None:
    def config(seed: int) -> Config:
        activation, loss, init = names
        model = {"hidden": [5, 4], "activation": activation, "init": init}
        settings = {
            "seed": seed,
            "data": {"validation": 0, "test": False},
            "model": model,
            "loss": loss,
            "optimizer": {"learning_rate": 0.01, "weight_decay": 0.001, **rule},
            "training": {"epochs": 2, "batch_size": 8},
        }
        return from_dict(settings, "the test")

    # A training is a function of its seed.
    straight, again, other = (training(config(seed), kernels) for seed in (0, 0, 1))
    initial = state(straight)
    for trainer in (straight, again, other):
        for _ in range(2):
            assert trainer.train_epoch(lambda loss: False) is not None
    assert state(straight) == state(again)
    assert state(straight)[0] not in (initial[0], state(other)[0])
    assert {v.dtype for v in straight.optimizer.slots.values()} <= {np.dtype("float32")}
    straight.check()

    # What is saved goes on to the last bit.
    first = training(config(0), kernels)
    first.train_epoch(lambda loss: False)
    folder = RunFolder(tmp_path)
    Saver(first, config(0), {}, folder, lambda: 0.0).save()
    second = training(config(0), kernels)
    second.network.parameters[...] = 7
    restore(second, load_checkpoint(folder.last))
    assert state(second) == state(first)
    second.train_epoch(lambda loss: False)
    assert state(second) == state(straight)

    # One image is enough.
    alone = training(config(0), kernels, images=1)
    assert alone.train_epoch(lambda loss: False) is not None
    alone.check()

    # What is no number does not go unnoticed.
    second.network.parameters[0] = np.nan
    second.state.epoch = 0
    with pytest.raises(DivergedError, match="the loss is not finite"):
        second.train_epoch(lambda loss: False)
