"""The proof of the batched gradient on a network: by single examples, tiling and differences.

`train` computes ΔW = δᵀ a with one product a layer. Here it is computed three more times, in
float64 on random inputs, by the `references`.

An error is relative: ‖found − expected‖ / ‖expected‖ over the weights or biases of a layer. For
differences it is |found − expected| / max(‖g at the places of d‖, 10⁻⁴ C), since the rounding of C
alone leaves an error of about 10⁻¹⁶ C / h.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.compute.engine import Engine
from mlp_cli.config.schema import Config
from mlp_cli.data.batches import one_hot
from mlp_cli.data.dataset import load_dataset
from mlp_cli.gradcheck.references import difference_error, loop_gradient, tiled_gradient
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.buffers import Array, columns_first
from mlp_cli.nn.network import Network, owned_slices
from mlp_cli.nn.ops import Ops
from mlp_cli.nn.optimizers import SGD, Optimizer
from mlp_cli.nn.rng import generator
from mlp_cli.training.build import build_network, build_regularisers

TOLERANCE = {"loop": 1e-10, "tiling": 1e-10, "differences": 1e-6}
TILING_BYTES = 256_000_000
LARGEST_BATCH = 1024  # examples; a larger batch proves no more and takes the loop minutes
MNIST_SHAPE, MNIST_CLASSES = (28, 28), 10


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
        """Whether an error is above its tolerance, or not a number."""
        return any(not error <= TOLERANCE[way] for way, error in self.errors.items())


@dataclass(frozen=True)
class GradientCheck:
    """The checks of the layers and of the decoder's, and the seconds that each way took.

    `tiling_examples` is the K of the tiling and of `tiling_product_seconds`: as many examples as
    keep the tiles under 256 MB.
    """

    batch_size: int
    layers: list[LayerCheck]
    decoder: list[LayerCheck]
    batched_seconds: float
    loop_seconds: float
    tiling_examples: int
    tiling_seconds: float
    tiling_product_seconds: float
    tolerance: dict[str, float] = field(default_factory=lambda: dict(TOLERANCE))

    @property
    def wrong(self) -> list[str]:
        """The layers whose gradient is wrong."""
        return [
            f"{name} {layer.layer}"
            for name, layers in (("layer", self.layers), ("decoder layer", self.decoder))
            for layer in layers
            if layer.wrong
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data; an error that is not a number is null."""
        found = asdict(self)
        for layer in (*found["layers"], *found["decoder"]):
            layer["errors"] = {
                way: error if np.isfinite(error) else None for way, error in layer["errors"].items()
            }
        return {**found, "wrong": self.wrong}


class _Product(NamedTuple):
    """The factors δ (K, m) and a (K, n) of a gradient, its layer, and which of `Views` it has."""

    delta: Array
    a: Array
    layer: int
    kinds: slice


def check_gradient(config: Config, engine: Engine) -> GradientCheck:
    """Check the gradient of the network that a configuration describes, at its initial weights.

    The constants of a decoder's combinators are drawn, because most of its gradient is 0 at first.

    The engine is the one that `train` would use. The size of the images is MNIST's, or that of the
    files in `data.path`, and each view has so many inputs. No other data are read.

    Raises
    ------
    DataError
        If the files in `data.path` are missing or malformed.
    """
    image_shape, classes = MNIST_SHAPE, MNIST_CLASSES
    if config.data.path is not None:
        dataset = load_dataset(config, Path(config.data.path))
        image_shape, classes = dataset.image_shape, dataset.classes
    network = build_network(config, image_shape, classes, "float64")
    random = generator(config.seed, "gradcheck")
    for A in network.parameter_views.combinators:
        A += 0.3 * random.standard_normal(A.shape)  # at first, it hears nothing from above
    K = min(config.training.batch_size, LARGEST_BATCH)
    regularisers = build_regularisers(config)
    x = random.uniform(0, 1, (K, network.sizes[0]))
    y = one_hot(classes, regularisers.label_smoothing, np.dtype("float64"))
    y = y[random.integers(classes, size=K)]
    backpropagate = Backpropagation(
        network,
        K,
        workers=engine.workers,
        dropout=regularisers.dropout,
        noise=regularisers.noise,
        reconstruction=regularisers.reconstruction,
    )
    rule = config.optimizer
    is_plain_sgd = rule.name == "sgd" and not rule.momentum and rule.clip_norm is None
    return compare(network, backpropagate, x, y, random, engine, is_plain_sgd=is_plain_sgd)


def compare(
    network: Network,
    backpropagate: Backpropagation,
    x: Array,
    y: Array,
    random: np.random.Generator,
    engine: Engine,
    *,
    is_plain_sgd: bool = False,
) -> GradientCheck:
    """Compare the gradient of `backpropagate` for inputs x (K, n) and targets y (K, c).

    `backpropagate` must have been made for the workers of the engine. With plain SGD, compiled code
    never writes the gradient down. Then the gradient is what a step at η = 1 subtracts from
    parameters of 0.
    """
    workers = range(engine.workers)
    zs = [columns_first(len(y), y.shape[1], network.dtype) for _ in workers]
    key = random.integers(0, 2**64, 1, np.uint64)
    disturbed = x.copy()  # noise and dropout write over it
    moved = np.zeros_like(network.parameters)
    shares = [owned_slices(network, worker, engine.workers) for worker in workers]
    sgd = Optimizer(SGD(), moved, backpropagate.gradient, 0, shares=shares)
    factors = sgd.rule.factors([1.0], 1)[0]

    def batch(ops: Ops, worker: int) -> None:
        backpropagate(disturbed, y, zs[worker], worker, ops, key)

    def step(ops: Ops, worker: int) -> None:
        batch(ops, worker)
        sgd.step(factors, worker, ops)

    batched = engine.prepare(batch, network.dtype)
    (engine.prepare(step, network.dtype) if is_plain_sgd else batched)()
    gradient = network.views(-moved if is_plain_sgd else backpropagate.gradient.copy())
    products = _products_of(backpropagate, disturbed, zs[0])

    started = time.perf_counter()
    loop = network.views(loop_gradient(backpropagate, products[0].a, y))
    loop_seconds = time.perf_counter() - started

    largest = max(W.size for W in network.weights)
    examples = max(1, min(len(x), TILING_BYTES // (3 * 8 * largest)))  # two tiles and their product
    some = [(delta[:examples], a[:examples]) for delta, a, _, _ in products]
    started = time.perf_counter()
    tiled = [tiled_gradient(delta, a) for delta, a in some]
    tiling_seconds = time.perf_counter() - started
    multiplied = [np.empty((delta.shape[1], a.shape[1])) for delta, a in some]

    def multiply() -> None:
        for (delta, a), out in zip(some, multiplied, strict=True):
            np.matmul(delta.T, a, out=out)

    tiling_product_seconds = _seconds(multiply)

    forward = Backpropagation(
        network,
        len(x),
        dropout=backpropagate.dropout,
        noise=backpropagate.noise,
        reconstruction=backpropagate.reconstruction,
    )

    def cost() -> tuple[float, list[NDArray[np.bool_]]]:
        np.copyto(disturbed, x)
        forward.forward(disturbed, zs[0], key=key)
        decoded = forward.decode(zs[0])
        sides = [a > 0 for a in forward.activations]
        return float(network.loss.values(zs[0], y).mean()) + decoded, sides

    # If minibatch normalisation cancels an error, as it may with two examples, rounding is left.
    least = 1e-3 * float(max(np.linalg.norm(of) for kind in gradient for of in kind))
    checks = []
    for product, tiles, out in zip(products, tiled, multiplied, strict=True):
        kinds = [  # W and b, and γ if there is one; or V and A
            (parameters[product.layer], found[product.layer], expected[product.layer])
            for parameters, found, expected in zip(
                network.parameter_views[product.kinds],
                gradient[product.kinds],
                loop[product.kinds],
                strict=True,
            )
            if product.layer < len(found)
        ]
        errors = {
            "loop": max(_relative(found, expected, least) for _, found, expected in kinds),
            "tiling": _relative(kinds[0][1] if examples == len(x) else out, tiles, least),
            "differences": max(
                difference_error(cost, parameters, found, random) for parameters, found, _ in kinds
            ),
        }
        shapes = product.delta.shape, product.a.shape, (out.shape[0], out.shape[1])
        checks.append(LayerCheck(product.layer, *shapes, errors))
    depth = len(network.weights)
    batched_seconds = _seconds(batched)
    return GradientCheck(
        len(x),
        checks[:depth],
        checks[depth:],
        batched_seconds,
        loop_seconds,
        examples,
        tiling_seconds,
        tiling_product_seconds,
    )


def _products_of(passes: Backpropagation, x: Array, z: Array) -> list[_Product]:
    """Return copies of what each product of a gradient was made of: the layers', the decoder's."""
    inputs = [x, *passes.outputs]
    products = [
        _Product(delta.copy(), a.copy(), layer, slice(3))
        for layer, (delta, a) in enumerate(zip(passes.deltas, inputs, strict=True))
    ]
    if passes.decoder is not None:
        above = [*passes.decoder.reconstructions[1:], z]
        products += [
            _Product(delta.copy(), q.copy(), layer, slice(3, None))
            for layer, (delta, q) in enumerate(zip(passes.decoder.deltas, above, strict=True))
        ]
    return products


def _relative(found: Array, expected: Array, least: float) -> float:
    error = float(np.linalg.norm(found - expected))
    norm = max(float(np.linalg.norm(expected)), least)
    return error / norm if norm > 0 else error


def _seconds(work: Callable[[], None]) -> float:
    """Return the shortest time of a few calls; the first call also warms the caches."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
