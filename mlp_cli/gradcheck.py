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

from mlp_cli.backpropagation import Backpropagation, Dropout, Noise, columns_first
from mlp_cli.config import Config
from mlp_cli.data import generator, load_dataset, one_hot
from mlp_cli.functions import Array
from mlp_cli.network import Network, owned
from mlp_cli.operations import EPSILON, Kernels, Operations
from mlp_cli.optimizer import SGD
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
        (inputs, *config.model.hidden, classes),
        config.model.activation,
        config.loss,
        "float64",
        batch_norm=config.model.batch_norm,
    )
    assert config.model.init is not None  # resolved when it was read
    network.initialise(config.model.init, generator(config.seed, "initialise"))
    drawn = generator(config.seed, "gradcheck")
    K = min(config.training.batch_size, LARGEST_BATCH)
    x = drawn.uniform(0, 1, (K, inputs))
    y = one_hot(classes, config.regularisation.label_smoothing, np.dtype("float64"))
    y = y[drawn.integers(classes, size=K)]
    regularisation = config.regularisation
    backpropagate = Backpropagation(
        network,
        K,
        parts=team.size,
        dropout=Dropout(regularisation.input_dropout, regularisation.dropout),
        noise=Noise(regularisation.input_noise, regularisation.noise),
    )
    rule = config.optimizer
    descends = rule.name == "sgd" and not rule.momentum and rule.clip_norm is None
    return compare(network, backpropagate, x, y, drawn, team, kernels, descends=descends)


def compare(
    network: Network,
    backpropagate: Backpropagation,
    x: Array,
    y: Array,
    drawn: np.random.Generator,
    team: Team,
    kernels: Kernels,
    *,
    descends: bool = False,
) -> GradientCheck:
    """Compare `backpropagate`'s gradient for inputs x (K, n) and targets y (K, c).

    The team is the one whose members `backpropagate` was made for. A training that `descends`, by
    plain SGD, may never write its gradient down: then the one compared is how far a step at η = 1
    moves parameters away from 0.
    """
    zs = [columns_first(len(y), y.shape[1], network.dtype) for _ in range(team.size)]
    key = drawn.integers(0, 2**64, 1, np.uint64)
    left = x.copy()  # noise and dropout write over it
    moved = np.zeros_like(network.parameters)
    pieces = [owned(network, part, team.size) for part in range(team.size)]
    descent = SGD(moved, backpropagate.gradient, 0, parts=pieces)
    factors = descent.factors([1.0], 1)[0]

    def batch(do: Operations, me: int) -> None:
        backpropagate(left, y, zs[me], me, do, key)

    def step(do: Operations, me: int) -> None:
        batch(do, me)
        descent.step(factors, me, do)

    batched = kernels.prepare(batch, team, network.dtype)
    team.run(kernels.prepare(step, team, network.dtype) if descends else batched)
    gradient = network.views(-moved if descends else backpropagate.gradient.copy())
    inputs = [left.copy(), *map(np.copy, backpropagate.outputs)]
    deltas = [*map(np.copy, backpropagate.deltas)]
    batched_seconds = _seconds(lambda: team.run(batched))

    started = time.perf_counter()
    loop = network.views(loop_gradient(backpropagate, inputs[0], y))
    loop_seconds = time.perf_counter() - started

    largest = max(W.size for W in network.weights)
    examples = max(1, min(len(x), TILING_BYTES // (3 * 8 * largest)))  # two tiles, their product
    started = time.perf_counter()
    tiled = [
        tiled_gradient(delta[:examples], a[:examples])
        for delta, a in zip(deltas, inputs, strict=True)
    ]
    tiling_seconds = time.perf_counter() - started
    products = [np.empty_like(W) for W in network.weights]

    def multiply() -> None:
        for delta, a, out in zip(deltas, inputs, products, strict=True):
            np.matmul(delta[:examples].T, a[:examples], out=out)

    tiling_product_seconds = _seconds(multiply)

    forward = Backpropagation(
        network,
        len(x),
        dropout=Dropout(hidden=backpropagate.dropout.hidden),
        noise=Noise(hidden=backpropagate.noise.hidden),
    )

    def cost() -> tuple[float, list[NDArray[np.bool_]]]:
        forward.forward(inputs[0], zs[0], key=key)
        return float(network.loss.values(zs[0], y).mean()), [a > 0 for a in forward.activations]

    # Where minibatch normalisation cancels an error, as with two examples, rounding is left of it.
    least = 1e-3 * float(max(np.linalg.norm(part) for parts in gradient for part in parts))
    layers = []
    for layer, (delta, a) in enumerate(zip(deltas, inputs, strict=True)):
        parts = [
            (vectors[layer], found[layer], expected[layer])
            for vectors, found, expected in zip(network.parts, gradient, loop, strict=True)
            if layer < len(found)
        ]
        errors = {
            "loop": max(_relative(found, expected, least) for _, found, expected in parts),
            "tiling": _relative(
                gradient.weights[layer] if examples == len(x) else products[layer],
                tiled[layer],
                least,
            ),
            "differences": max(
                _difference_error(cost, part, found, drawn) for part, found, _ in parts
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


def loop_gradient(backpropagate: Backpropagation, x: Array, y: Array) -> Array:
    """Return the gradient (P,) as the sum over single examples, each by outer products.

    x (K, n) is what noise and dropout made of the inputs; the hidden layers' noises and masks are
    `backpropagate`'s.
    """
    network, K = backpropagate.network, len(x)
    f, last = network.activation, len(network.weights) - 1
    total = np.zeros_like(network.parameters)
    dW, db, dgamma = network.views(total)
    inputs, slopes, hats, inverses = [[*x]], [], [], []
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        z = [W @ a for a in inputs[-1]]
        if layer == last:
            break
        if network.batch_norm:
            mean = sum(z) / K
            inverse = 1 / np.sqrt(sum((z_k - mean) ** 2 for z_k in z) / K + EPSILON)
            hats.append(np.array([(z_k - mean) * inverse for z_k in z]))
            inverses.append(inverse)
            z = [network.gammas[layer] * hat for hat in hats[-1]]
        if backpropagate.noises:
            z = [z_k + noise for z_k, noise in zip(z, backpropagate.noises[layer], strict=True)]
        outputs = [z_k + b for z_k in z]
        slopes.append([np.ones_like(b) for _ in outputs])
        for k, (a, slope) in enumerate(zip(outputs, slopes[-1], strict=True)):
            f.apply(a, np.empty_like(a))
            f.backward(slope, a, np.empty_like(a))
            if backpropagate.masks:
                a *= backpropagate.masks[layer][k]
                slope *= backpropagate.masks[layer][k]
        inputs.append(outputs)
    deltas = np.zeros_like(y)
    for z_k, y_k, delta in zip(z, y, deltas, strict=True):
        rows = [np.atleast_2d(row) for row in (z_k + b, y_k, delta, np.empty_like(delta))]
        network.loss.delta(*rows)
        delta /= K
    for layer in range(last, -1, -1):
        for delta, a in zip(deltas, inputs[layer], strict=True):
            dW[layer] += np.outer(delta, a)
        if layer == last or not network.batch_norm:
            db[layer] += sum(deltas)
        if layer:
            W = network.weights[layer]
            deltas = np.array([W.T @ d * s for d, s in zip(deltas, slopes[layer - 1], strict=True)])
        if layer and network.batch_norm:
            hat, below = hats[layer - 1], layer - 1
            db[below] += sum(deltas)
            dgamma[below] += sum(deltas * hat)
            # ∂ẑ_j/∂z_k = (1[j = k] − 1/K − ẑ_j ẑ_k / K) / √(σ² + ε)
            spread = [[(j == k) - 1 / K - hat[j] * hat[k] / K for j in range(K)] for k in range(K)]
            scale = network.gammas[below] * inverses[below]
            deltas = np.array([sum(deltas * np.array(row)) * scale for row in spread])
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
    cost: Callable[[], tuple[float, list[NDArray[np.bool_]]]],
    part: Array,
    gradient: Array,
    drawn: np.random.Generator,
) -> float:
    """Return the largest relative error of a part's gradient along drawn directions.

    `cost` returns C, and which neurons are on which side of a kink.
    """
    places = part.reshape(-1)  # a view: the parts of the parameters' vector are contiguous
    g = gradient.reshape(-1)

    def cost_at(at: NDArray[np.int64], step: Array) -> tuple[float, list[NDArray[np.bool_]]]:
        saved = places[at]
        places[at] += step
        found = cost()
        places[at] = saved
        return found

    worst, found, h = 0.0, 0, STEP
    for _ in range(REDRAWS):
        at = drawn.choice(len(places), min(PLACES, len(places)), replace=False)
        signs = drawn.choice([-1.0, 1.0], len(at))
        probes = [cost_at(at, step * h * signs) for step in (-2, -1, 1, 2)]
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


def _relative(found: Array, expected: Array, least: float) -> float:
    error = float(np.linalg.norm(found - expected))
    norm = max(float(np.linalg.norm(expected)), least)
    return error / norm if norm > 0 else error


def _seconds(work: Callable[[], None]) -> float:
    """Return the shortest time of a few calls; the first also warms the caches."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
