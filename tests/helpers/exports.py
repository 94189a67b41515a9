"""Networks of any kind as checkpoints that were never trained, and what runs their exports."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.documents import DOCS
from mlp_cli.config.load import load_config
from mlp_cli.inference.model import Model, load
from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.network import Network
from mlp_cli.storage.checkpoint import save_checkpoint

Images = NDArray[np.uint8]

# Each activation with and without batch normalisation, in turn with each loss and each type.
KINDS = [
    {
        "activation": activation,
        "batch_norm": batch_norm,
        "loss": list(LOSSES)[(i + batch_norm) % 2],
        "dtype": ("float32", "float64")[i // 2 % 2],
    }
    for i, activation in enumerate(ACTIVATIONS)
    for batch_norm in (False, True)
]
# Networks of other shapes: without hidden layers, with several, of other images and classes, with a
# slope, and with a scaling of every pixel by itself.
SHAPES = [
    {"hidden": []},
    {"hidden": [], "loss": "mse", "classes": 1},
    {"hidden": [7, 30, 9, 5], "activation": "tanh", "shape": (5, 11), "classes": 3},
    {"hidden": [9], "activation": "leaky_relu", "slope": 0.3, "shape": (3, 2), "classes": 2},
    {"hidden": [6], "activation": "leaky_relu", "slope": 0.0, "standard": True},
    {"hidden": [8], "activation": "scaled_tanh", "standard": True, "batch_norm": True},
]


def name(kind: dict[str, object]) -> str:
    """A name for a test's case."""
    return ", ".join(f"{key} {value}" for key, value in kind.items())


def random_model(
    folder: Path,
    *,
    hidden: tuple[int, ...] = (12, 9),
    activation: str = "relu",
    slope: float | None = None,
    batch_norm: bool = False,
    loss: str = "cross_entropy",
    dtype: str = "float32",
    shape: tuple[int, int] = (12, 11),
    classes: int = 10,
    standard: bool = False,
    data: str = "mnist",
    seed: int = 0,
) -> Model:
    """Write a run's best.npz with random weights, and load it. `standard` scales each pixel."""
    generator = np.random.default_rng(seed)
    changes = {
        "model.hidden": hidden,
        "model.activation": activation,
        "model.batch_norm": batch_norm,
        "loss": loss,
        "training.dtype": dtype,
    }
    if slope is not None:
        changes["model.negative_slope"] = slope
    config = load_config({}, set=changes, warn=lambda _: None)
    inputs = shape[0] * shape[1]
    network = Network((inputs, *hidden, classes), activation, loss, dtype, batch_norm=batch_norm)
    network.initialise("lecun_normal", generator)
    network.weights[0][:] *= 3  # so that the images decide more than the biases
    for array in network.biases + network.running_means:
        array[...] = generator.normal(size=array.shape) / 10
    for array in network.gammas + network.running_variances:
        array[...] = generator.uniform(0.5, 2, array.shape)
    scaling = {"input.mean": np.zeros((), dtype), "input.std": np.ones((), dtype)}
    if standard:
        scaling["input.mean"] = generator.uniform(0, 0.5, inputs).astype(dtype)
        scaling["input.std"] = generator.uniform(0.1, 2, inputs).astype(dtype)
    folder.mkdir(parents=True)
    record = {"name": data, "image_shape": list(shape), "classes": classes}
    save_checkpoint(
        folder / "best.npz",
        network.named(network.parameters, network.statistics) | scaling,
        {"config": config.to_dict(), "data": record, "state": {"epoch": 3}},
    )
    return load(folder)


ROWS = re.findall(r"^\| (`.*`) \| `(nn\..*?)`", (DOCS / "export.md").read_text(), re.MULTILINE)
# The module of PyTorch that the page names for each activation.
MODULES = {name: module for names, module in ROWS for name in re.findall(r"`(\w+)`", names)}


def sequential(model: Model) -> Any:
    """Return the Sequential of PyTorch that takes an export of the model, as the page says."""
    from torch import nn

    module = MODULES[model.config.model.activation]
    if model.config.model.negative_slope is not None:
        module = module.replace("0.01", str(model.config.model.negative_slope))
    modules: list[Any] = []
    for n, m in pairwise(model.network.sizes):
        modules += [nn.Linear(n, m), eval(module, {"nn": nn})]
    return nn.Sequential(*modules[:-1])


def probabilities_of(logits: np.ndarray, model: Model) -> np.ndarray:
    """Return probabilities (n, classes) from logits, by the formula of the page."""
    if model.config.loss == "mse":
        odds = 1 / (1 + np.exp(-logits))
    else:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def compiled(source: Path, *options: str) -> ctypes.CDLL:
    """Compile an exported `.c` as strictly as can be, and load it."""
    library = source.with_suffix(".so")
    compile_c(source, "-shared", "-fPIC", "-o", library, *options)
    loaded = ctypes.CDLL(str(library))
    loaded.mlp_predict.argtypes = [ctypes.c_void_p]
    loaded.mlp_probabilities.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    loaded.mlp_probabilities.restype = None
    return loaded


def compile_c(*words: object) -> None:
    """Run gcc on the words; skip the test if there is none."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wmissing-prototypes",
              "-Wshadow", "-Wconversion", "-Wdouble-promotion"]  # fmt: skip
    done = subprocess.run(
        ["gcc", *strict, "-O2", *map(str, words), "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:3000]


def run_c(library: ctypes.CDLL, images: Images, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes (n,) and probabilities (n, classes) that a compiled network computes."""
    images = np.ascontiguousarray(images)
    probabilities = np.empty((len(images), classes), np.float32)
    found = np.empty(len(images), np.int64)
    for i in range(len(images)):
        found[i] = library.mlp_predict(images[i].ctypes.data)
        library.mlp_probabilities(images[i].ctypes.data, probabilities[i].ctypes.data)
    return found, probabilities
