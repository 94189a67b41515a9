"""The batched gradient proved on a network: by single examples, by tiling, by differences.

What `train` computes with one product a layer, ΔW = δᵀ a, is computed here three more times, in
float64 on drawn inputs:

    loop         the examples one by one, each layer's outer product δ_i a_j, summed over k
    tiling       all K outer products at once, δ and a tiled to (K, m, n), summed over k
    differences  (C(p − 2hd) − 8 C(p − hd) + 8 C(p + hd) − C(p + 2hd)) / 12h against g · d, where d
                 is ±1 at some drawn places of one layer's weights or biases and 0 elsewhere, and g
                 the batched gradient; central differences whose error falls with h⁴. A relu has a
                 kink: where a unit changes sides on the way, d is drawn again and h is halved

An error is relative: ‖found − expected‖ / ‖expected‖ over a layer's weights or biases, and for
differences |found − expected| / max(‖g at the places of d‖, 10⁻⁴ C), since the rounding of C alone
leaves an error of about 10⁻¹⁶ C / h.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.config import Config
from mlp_cli.data import generator, load_dataset
from mlp_cli.functions import Array
from mlp_cli.network import Backpropagation, Network, columns_first
from mlp_cli.operations import Kernels
from mlp_cli.team import Team

TOLERANCE = {"loop": 1e-10, "tiling": 1e-10, "differences": 1e-6}
TILING_BYTES = 256_000_000
DIRECTIONS = 5  # for each layer's weights and each layer's biases
PLACES = 30  # where one of them is not 0: few, so that few relus come near their kinks
STEP = 1e-5  # h, at first
REDRAWS = 100
LARGEST_BATCH = 1024  # examples; a larger batch proves no more and takes the loop minutes
MNIST_INPUTS, MNIST_CLASSES = 784, 10


@dataclass(frozen=True)
class LayerCheck:
    """One layer's shapes, and the relative errors of its ΔW and Δb by each of the three ways."""

    layer: int
    delta: tuple[int, int]  # (K, m)
    a: tuple[int, int]  # (K, n)
    gradient: tuple[int, int]  # (m, n)
    errors: dict[str, float]

    @property
    def wrong(self) -> bool:
        """Whether an error is above its tolerance, or is no number."""
        return any(not error <= TOLERANCE[way] for way, error in self.errors.items())


@dataclass(frozen=True)
class GradientCheck:
    """The layers' checks, and the seconds that each way took.

    `tiling_examples` is the K that the tiling, and `tiling_product_seconds` with it, was run on:
    as many examples as keep the tiles under 256 MB.
    """

    batch_size: int
    layers: list[LayerCheck]
    batched_seconds: float
    loop_seconds: float
    tiling_examples: int
    tiling_seconds: float
    tiling_product_seconds: float
    tolerance: dict[str, float] = field(default_factory=lambda: dict(TOLERANCE))

    @property
    def wrong(self) -> list[str]:
        """The layers whose gradient is wrong."""
        return [f"layer {layer.layer}" for layer in self.layers if layer.wrong]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data; an error that is no number is null."""
        found = asdict(self)
        for layer in found["layers"]:
            layer["errors"] = {
                way: error if np.isfinite(error) else None for way, error in layer["errors"].items()
            }
        return {**found, "wrong": self.wrong}


def check_gradient(config: Config, team: Team, kernels: Kernels) -> GradientCheck:
    """Check the gradient of the network that a configuration describes, at its first weights.

    The team and the kernels are those that `train` would have.

    The inputs' number is MNIST's, or that of the files in `data.path`; no other data are read.
    """
    inputs, classes = MNIST_INPUTS, MNIST_CLASSES
    if config.data.path is not None:
        dataset = load_dataset(config, Path(config.data.path))
        inputs, classes = dataset.inputs, dataset.classes
    network = Network(
        (inputs, *config.model.hidden, classes), config.model.activation, config.loss, "float64"
    )
    assert config.model.init is not None  # resolved when it was read
    network.initialise(config.model.init, generator(config.seed, "initialise"))
    drawn = generator(config.seed, "gradcheck")
    K = min(config.training.batch_size, LARGEST_BATCH)
    x = drawn.uniform(0, 1, (K, inputs))
    y = np.eye(classes)[drawn.integers(classes, size=K)]
    backpropagate = Backpropagation(network, K, parts=team.size)
    return compare(network, backpropagate, x, y, drawn, team, kernels)


def compare(
    network: Network,
    backpropagate: Backpropagation,
    x: Array,
    y: Array,
    drawn: np.random.Generator,
    team: Team,
    kernels: Kernels,
) -> GradientCheck:
    """Compare `backpropagate`'s gradient for inputs x (K, n) and targets y (K, c).

    The team is the one whose members `backpropagate` was made for.
    """
    zs = [columns_first(len(y), y.shape[1], network.dtype) for _ in range(team.size)]
    batched = kernels.prepare(
        lambda do, me: backpropagate(x, y, zs[me], me, do), team, network.dtype
    )
    batched_seconds = _seconds(lambda: team.run(batched))
    weights, biases = backpropagate.weight_gradients, backpropagate.bias_gradients
    inputs = [x, *backpropagate.activations]

    started = time.perf_counter()
    loop_weights, loop_biases = network.views(loop_gradient(network, x, y))
    loop_seconds = time.perf_counter() - started

    largest = max(W.size for W in network.weights)
    examples = max(1, min(len(x), TILING_BYTES // (3 * 8 * largest)))  # two tiles, their product
    started = time.perf_counter()
    tiled = [
        tiled_gradient(delta[:examples], a[:examples])
        for delta, a in zip(backpropagate.deltas, inputs, strict=True)
    ]
    tiling_seconds = time.perf_counter() - started
    products = [np.empty_like(W) for W in network.weights]

    def multiply() -> None:
        for delta, a, out in zip(backpropagate.deltas, inputs, products, strict=True):
            np.matmul(delta[:examples].T, a[:examples], out=out)

    tiling_product_seconds = _seconds(multiply)

    layers = []
    for layer, (delta, a) in enumerate(zip(backpropagate.deltas, inputs, strict=True)):
        errors = {
            "loop": max(
                _relative(weights[layer], loop_weights[layer]),
                _relative(biases[layer], loop_biases[layer]),
            ),
            "tiling": _relative(
                weights[layer] if examples == len(x) else products[layer], tiled[layer]
            ),
            "differences": max(
                _difference_error(network, x, y, network.weights[layer], weights[layer], drawn),
                _difference_error(network, x, y, network.biases[layer], biases[layer], drawn),
            ),
        }
        shape = network.weights[layer].shape
        layers.append(LayerCheck(layer, delta.shape, a.shape, (shape[0], shape[1]), errors))
    return GradientCheck(
        len(x),
        layers,
        batched_seconds,
        loop_seconds,
        examples,
        tiling_seconds,
        tiling_product_seconds,
    )


def loop_gradient(network: Network, x: Array, y: Array) -> Array:
    """Return the gradient (P,) as the mean over single examples, each by outer products."""
    total = np.zeros_like(network.parameters)
    dW, db = network.views(total)
    f = network.activation
    for x_k, y_k in zip(x, y, strict=True):
        activations = [x_k]
        for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
            z = W @ activations[-1] + b
            if layer < len(network.weights) - 1:
                f.apply(z, np.empty_like(z))
            activations.append(z)
        delta = np.empty_like(z)
        network.loss.delta(
            z[np.newaxis], y_k[np.newaxis], delta[np.newaxis], np.empty_like(z)[np.newaxis]
        )
        for layer in reversed(range(len(network.weights))):
            a = activations[layer]
            dW[layer] += np.outer(delta, a)
            db[layer] += delta
            delta = network.weights[layer].T @ delta
            if layer:
                f.backward(delta, a, np.empty_like(a))
    total /= len(x)
    return total


def tiled_gradient(delta: Array, a: Array) -> Array:
    """Return Σ_k δ_ki a_kj (m, n) with δ (K, m) and a (K, n) both tiled to (K, m, n)."""
    m, n = delta.shape[1], a.shape[1]
    tiled_delta = np.tile(delta[:, :, np.newaxis], (1, 1, n))
    tiled_a = np.tile(a[:, np.newaxis, :], (1, m, 1))
    np.multiply(tiled_delta, tiled_a, out=tiled_delta)
    gradient: Array = tiled_delta.sum(axis=0)
    return gradient


def _difference_error(
    network: Network, x: Array, y: Array, part: Array, gradient: Array, drawn: np.random.Generator
) -> float:
    """Return the largest relative error of a part's gradient along drawn directions."""
    forward, z = Backpropagation(network, len(x)), columns_first(len(y), y.shape[1], network.dtype)
    places = part.reshape(-1)  # a view: the parts of the parameters' vector are contiguous
    g = gradient.reshape(-1)

    def cost(at: NDArray[np.int64], step: Array) -> tuple[float, list[NDArray[np.bool_]]]:
        saved = places[at]
        places[at] += step
        forward.forward(x, z)
        places[at] = saved
        return float(network.loss.values(z, y).mean()), [a > 0 for a in forward.activations]

    worst, found, h = 0.0, 0, STEP
    for _ in range(REDRAWS):
        at = drawn.choice(len(places), min(PLACES, len(places)), replace=False)
        signs = drawn.choice([-1.0, 1.0], len(at))
        probes = [cost(at, step * h * signs) for step in (-2, -1, 1, 2)]
        costs = [value for value, _ in probes]
        if not all(map(np.array_equal, probes[0][1], probes[-1][1])):
            h /= 2
            continue
        slope = (costs[0] - 8 * costs[1] + 8 * costs[2] - costs[3]) / (12 * h)
        error = abs(slope - float(g[at] @ signs))
        worst = max(worst, error / max(float(np.linalg.norm(g[at])), 1e-4 * costs[0]))
        found += 1
        if found == DIRECTIONS:
            return worst
    return math.nan  # no direction without a kink: nothing is proved


def _relative(found: Array, expected: Array) -> float:
    norm = float(np.linalg.norm(expected))
    error = float(np.linalg.norm(found - expected))
    return error / norm if norm > 0 else error


def _seconds(work: Callable[[], None]) -> float:
    """Return the shortest time of a few calls; the first also warms the caches."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
