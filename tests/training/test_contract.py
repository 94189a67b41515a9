"""What every activation, loss, initialiser and update rule must do, in every combination.

A new entry of a registry is tested without another line here.
"""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.networks import KERNELS, draw_combinators, make_optimizer
from helpers.selection import few

from mlp_cli.compute.engine import Engine, numpy_engine
from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset, whole
from mlp_cli.errors import DivergedError
from mlp_cli.gradcheck.check import compare
from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.backprop import NO_DROPOUT, NO_NOISE, Backpropagation, Dropout, Noise
from mlp_cli.nn.initialisers import INITIALISERS
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import Ops
from mlp_cli.nn.optimizers import OPTIMIZERS
from mlp_cli.runs.folder import RunFolder
from mlp_cli.runs.resume import restore
from mlp_cli.runs.saver import Saver
from mlp_cli.storage.checkpoint import load_checkpoint
from mlp_cli.training.build import build_trainer
from mlp_cli.training.trainer import Trainer

COMPONENTS = list(itertools.product(ACTIVATIONS, LOSSES, INITIALISERS))
RULES: list[dict[str, Any]] = [
    *({"name": name} for name in OPTIMIZERS),
    {"name": "sgd", "momentum": 0.9},
    {"name": "sgd", "momentum": 0.9, "nesterov": True},
]
REGULARISED = pytest.mark.parametrize("regularised", [False, True], ids=["plain", "regularised"])


def small_network(
    names: tuple[str, str, str], dtype: str, regularised: bool = False
) -> tuple[Backpropagation, np.ndarray, np.ndarray]:
    """Return a network of two hidden layers and 7 examples, with the same numbers in each type."""
    activation, loss, init = names
    generator = np.random.default_rng(0)
    network = Network(
        [5, 6, 4, 3], activation, loss, dtype, batch_norm=regularised, decoder=regularised
    )
    network.initialise(init, generator)
    draw_combinators(network, generator)
    x, y = generator.normal(size=(7, 5)), np.eye(3)[generator.integers(3, size=7)]
    dropout = Dropout(0.1, 0.3) if regularised else NO_DROPOUT
    noise = Noise(0.2, 0.1) if regularised else NO_NOISE
    return (
        Backpropagation(network, 7, dropout=dropout, noise=noise, reconstruction=2.0 * regularised),
        x.astype(dtype),
        y.astype(dtype),
    )


@REGULARISED
@pytest.mark.parametrize("names", few(COMPONENTS, 7), ids="-".join)
def test_the_gradient_is_right_in_float64_and_nearly_so_in_float32(
    names: tuple[str, str, str], regularised: bool
) -> None:
    passes, x, y = small_network(names, "float64", regularised)
    generator = np.random.default_rng(1)
    assert not compare(passes.network, passes, x, y, generator, numpy_engine()).wrong
    exact, near = (small_network(names, dtype, regularised) for dtype in ("float64", "float32"))
    for passes, x, y in (exact, near):
        passes(x, y, np.empty_like(y))
    error = near[0].gradient - exact[0].gradient
    assert np.linalg.norm(error) <= 1e-5 * np.linalg.norm(exact[0].gradient)


def types(arguments: object) -> set[np.dtype[Any]]:
    """Return the floating-point types among nested arguments."""
    if isinstance(arguments, np.ndarray):
        return {arguments.dtype} if arguments.dtype.kind == "f" else set()
    if isinstance(arguments, list | tuple):
        return {found for argument in arguments for found in types(argument)}
    return set()


class TypeRecorder(Ops):
    """NumPy's operations, which also record the types of the arrays that they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[np.dtype[Any]]] = {}
        for name, operation in inspect.getmembers(self, inspect.ismethod):
            if not name.startswith("_"):
                setattr(self, name, self._recording(name, operation))

    def _recording(self, name: str, operation: Any) -> Any:
        def recorded(*arguments: Any) -> None:
            # An update's factors and the sums of squares are float64 in every training.
            checked = {"update": arguments[:2], "sum_squares": arguments[:1], "clip": arguments[:1]}
            self.seen.setdefault(name, set()).update(types(checked.get(name, arguments)))
            operation(*arguments)

        return recorded


@REGULARISED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_array_of_a_step_has_the_networks_type(
    rule: dict[str, Any], dtype: str, regularised: bool
) -> None:
    options = {key: value for key, value in rule.items() if key != "name"}
    for activation, loss in itertools.product(ACTIVATIONS, LOSSES):
        passes, x, y = small_network((activation, loss, "lecun_normal"), dtype, regularised)
        network, ops = passes.network, TypeRecorder()
        optimizer = make_optimizer(
            rule["name"], network.parameters, passes.gradient, network.weight_count,
            weight_decay=0.1, clip_norm=1.0, **options,
        )  # fmt: skip
        passes(x, y, np.empty_like(y), 0, ops)
        optimizer.step(optimizer.rule.factors([0.1], 1)[0], 0, ops)
        called = {"product", "activate", "multiply_by_derivative", "output_delta", "update", "clip"}
        assert called <= set(ops.seen)
        assert {found for seen in ops.seen.values() for found in seen} == {np.dtype(dtype)}


@pytest.mark.parametrize("names", COMPONENTS, ids="-".join)
def test_the_loss_of_an_example_with_a_nan_input_is_not_finite(names: tuple[str, str, str]) -> None:
    passes, x, y = small_network(names, "float32")
    x[2, 1] = np.nan
    z = np.empty_like(y)
    passes(x, y, z)
    assert np.flatnonzero(~np.isfinite(passes.network.loss.values(z, y))).tolist() == [2]
    assert not np.isfinite(passes.gradient).all()


def make_trainer(config: Config, kernels: type[Kernels], images: int = 20) -> Trainer:
    """Return a trainer on 20 images of 2 × 3 pixels in three classes, in batches of 8, 8 and 4."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, 2, 3)).astype(np.uint8)
    labels = (np.arange(images) % 3).astype(np.uint8)
    split = whole(pixels, labels)
    # It is validated on its training images: without validation each save would write two files.
    dataset = Dataset("tiny", (2, 3), 3, split, split, None)
    return build_trainer(config, dataset, Engine(ThreadTeam(1), kernels()))


def state(trainer: Trainer) -> dict[str, bytes]:
    """Return the bytes of all arrays that a step changes."""
    return {name: vector.tobytes() for name, vector in trainer.vectors.items()}


# Each combination of components with every rule, and once with all regularisers.
EVERYTHING = {
    "dropout": 0.2, "input_dropout": 0.1, "max_norm": 2.0, "label_smoothing": 0.1, "average": 0.5,
    "noise": 0.1, "input_noise": 0.2,
}  # fmt: skip
TRAININGS = [
    pytest.param(
        names,
        rule,
        regularisation,
        id="-".join(map(str, (*names, *rule.values(), *regularisation))),
    )
    for names in COMPONENTS
    for rule, regularisation in [*((rule, {}) for rule in RULES), (RULES[0], EVERYTHING)]
]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("names", "rule", "regularisation"), few(TRAININGS, 23))
def test_a_training_of_any_components_follows_its_seed_resumes_and_checks_itself(
    names: tuple[str, str, str],
    rule: dict[str, Any],
    regularisation: dict[str, float],
    kernels: type[Kernels],
    tmp_path: Path,
) -> None:
    def config(seed: int) -> Config:
        activation, loss, init = names
        settings = {
            "seed": seed,
            "data": {"test": False},
            "model": {
                "hidden": [5, 4],
                "activation": activation,
                "init": init,
                "batch_norm": bool(regularisation),
            },
            "loss": loss,
            "optimizer": {"learning_rate": 0.01, "weight_decay": 0.001, **rule},
            "regularisation": regularisation,
            "training": {"epochs": 2, "batch_size": 8},
        }
        return from_dict(settings, "the test")

    # Another seed gives another training, and every array keeps its type.
    straight, other = (make_trainer(config(seed), kernels) for seed in (0, 1))
    initial = state(straight)
    for trainer in (straight, other):
        for _ in range(2):
            assert trainer.train_epoch(lambda loss: False) is not None
    for changed in (initial, state(other)):
        assert state(straight)["parameters"] != changed["parameters"]
    assert {vector.dtype for vector in straight.vectors.values()} == {np.dtype("float32")}
    straight.check()

    # The same seed gives the same bits, also if the training is stopped and resumed.
    first, second = (make_trainer(config(0), kernels) for _ in range(2))
    first.train_epoch(lambda loss: False)
    folder = RunFolder(tmp_path)
    Saver(first, config(0), {}, folder, lambda: 0.0).save()
    for vector in second.vectors.values():
        vector[...] = 7
    restore(second, load_checkpoint(folder.last), config(0))
    assert state(second) == state(first)
    second.train_epoch(lambda loss: False)
    assert state(second) == state(straight)

    # A training with a single image works.
    single = make_trainer(config(0), kernels, images=1)
    assert single.train_epoch(lambda loss: False) is not None
    single.check()

    # A weight that is not a number stops the training.
    second.network.parameters[0] = np.nan
    second.state.epoch = 0
    with pytest.raises(DivergedError, match="the loss is not finite"):
        second.train_epoch(lambda loss: False)
