"""softplus, silu, gelu and the slope of leaky_relu: values, derivatives, limits and memory."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from helpers.networks import KERNELS, kept_for

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.gradcheck.check import compare
from mlp_cli.nn.activations import ACTIVATIONS, Activation, leaky_relu
from mlp_cli.nn.backprop import NO_DROPOUT, NO_NOISE, Backpropagation, Dropout, Noise
from mlp_cli.nn.network import Network
from mlp_cli.nn.normal import MILLS, MILLS_CENTRE

NEW = ("softplus", "silu", "gelu")


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def normal(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


# f and f′.
DEFINITIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "softplus": (lambda z: max(z, 0) + math.log1p(math.exp(-abs(z))), sigma),
    "silu": (lambda z: z * sigma(z), lambda z: sigma(z) * (1 + z * sigma(-z))),
    "gelu": (lambda z: z * normal(z), lambda z: normal(z) + z * density(z)),
}


def applied(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return f(z) and f′(z)."""
    a, derivative = z.copy(), np.ones_like(z)
    kept = kept_for(f, a)
    f.apply(a, kept, np.full_like(z, np.nan))
    f.backward(derivative, kept, np.full_like(z, np.nan))
    return a, derivative


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NEW)
def test_values_and_derivatives_are_those_of_the_definition_to_a_few_units(
    name: str, dtype: str
) -> None:
    z = np.linspace(-12, 12, 4801).astype(dtype)
    a, derivative = applied(ACTIVATIONS[name], z)
    f, slope = DEFINITIONS[name]
    unit = np.finfo(dtype).eps
    # exp(−z²/2) has the relative error that rounding its exponent brings.
    few = 8 + z.astype("float64") ** 2 * (name == "gelu")
    expected = np.array([f(float(each)) for each in z])
    assert (np.abs(a - expected) <= few * unit * np.abs(expected)).all()
    expected = np.array([slope(float(each)) for each in z])
    assert np.abs(derivative - expected).max() <= 16 * unit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NEW)
def test_values_far_out_are_the_limits(name: str, dtype: str) -> None:
    z = np.array([-1e30, -1e4, -800, -100, 100, 800, 1e4, 1e30], dtype)
    with np.errstate(over="ignore"):
        a, derivative = applied(ACTIVATIONS[name], z)
    np.testing.assert_allclose(a, np.maximum(z, 0), rtol=1e-7, atol=1e-30)
    np.testing.assert_allclose(derivative, z > 0, rtol=1e-7, atol=1e-30)
    assert np.isfinite(a).all() and np.isfinite(derivative).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NEW)
def test_what_is_not_finite_stays_so_and_alone(name: str, dtype: str) -> None:
    z = np.array([1.0, np.nan, -1.0, np.inf, 2.0], dtype)
    with np.errstate(invalid="ignore"):
        a, _ = applied(ACTIVATIONS[name], z)
    assert np.isfinite(a).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize("name", NEW)
def test_the_derivative_at_0_is_one_half(name: str) -> None:
    _, derivative = applied(ACTIVATIONS[name], np.array([0.0, -0.0]))
    np.testing.assert_allclose(derivative, 0.5, rtol=1e-15)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3, 0.99])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leaky_relu_has_its_slope_below_0_and_slope_1_above(slope: float, dtype: str) -> None:
    a, derivative = applied(leaky_relu(slope), np.array([-2, -1e-3, 0, 1e-3, 2], dtype))
    np.testing.assert_allclose(a, [-2 * slope, -1e-3 * slope, 0, 1e-3, 2], rtol=1e-6)
    np.testing.assert_allclose(derivative, [slope, slope, slope, 1, 1], rtol=1e-6)


def test_pytorch_finds_the_same_values_and_derivatives() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch, which only the tests use")
    theirs = {
        ACTIVATIONS["softplus"]: torch.nn.Softplus(threshold=100),
        ACTIVATIONS["silu"]: torch.nn.SiLU(),
        ACTIVATIONS["gelu"]: torch.nn.GELU(approximate="none"),
        leaky_relu(0.3): torch.nn.LeakyReLU(0.3),
    }
    for f, module in theirs.items():
        z = torch.linspace(-9, 9, 1801, dtype=torch.float64, requires_grad=True)
        expected = module(z)
        expected.sum().backward()
        a, derivative = applied(f, z.detach().numpy())
        np.testing.assert_allclose(a, expected.detach().numpy(), rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(derivative, z.grad.numpy(), rtol=1e-13, atol=1e-14)


REGULARISED = {"dropout": Dropout(0.1, 0.3), "noise": Noise(0.2, 0.1)}


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("regularised", [False, True], ids=["plain", "regularised"])
@pytest.mark.parametrize(("name", "slope"), [*((name, None) for name in NEW), ("leaky_relu", 0.3)])
def test_the_gradient_is_proven(
    name: str, slope: float | None, regularised: bool, workers: int, kernels: type[Kernels]
) -> None:
    generator = np.random.default_rng(0)
    network = Network(
        [6, 9, 8, 3], name, "cross_entropy", "float64",
        batch_norm=regularised, negative_slope=slope,
    )  # fmt: skip
    network.initialise("nielsen", generator)
    x, y = generator.normal(size=(12, 6)), np.eye(3)[generator.integers(3, size=12)]
    options = REGULARISED if regularised else {"dropout": NO_DROPOUT, "noise": NO_NOISE}
    passes = Backpropagation(network, 12, workers=workers, **options)  # type: ignore[arg-type]
    engine = Engine(ThreadTeam(workers), kernels())
    assert not compare(network, passes, x, y, generator, engine).wrong


@pytest.mark.serial
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_allocates_no_array(name: str) -> None:
    f, z = ACTIVATIONS[name], np.ones((400, 300), np.float32)
    delta, kept, s = np.ones_like(z), kept_for(f, z), np.empty_like(z)
    tracemalloc.start()
    try:
        f.apply(z, kept, s)
        f.backward(delta, kept, s)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000 < z.nbytes


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_only_silu_and_gelu_keep_a_further_array(name: str) -> None:
    network = Network([6, 9, 8, 3], name, "cross_entropy")
    for layer in Backpropagation(network, 4)._layers[0].hidden:
        has_further = not np.shares_memory(layer.kept, layer.a)
        assert has_further == (name in ("silu", "gelu"))


def test_a_slope_that_is_not_the_default_survives_the_folding_of_the_normalisation() -> None:
    network = Network([6, 9, 3], "leaky_relu", "cross_entropy", batch_norm=True, negative_slope=0.3)
    assert network.without_norm().activation.constant == 0.3


# Mills' ratio in 60 digits, by its power series below 6 and its continued fraction above.
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")


def mills(w: Decimal) -> Decimal:
    if w > 6:
        fraction = w
        for k in range(400, 0, -1):
            fraction = w + k / fraction
        return 1 / fraction
    term = total = w
    for k in range(1, 200):
        term *= w * w / (2 * k + 1)
        total += term
    return (PI / 2).sqrt() * (w * w / 2).exp() - total


def cosine(x: Decimal) -> Decimal:
    term = total = Decimal(1)
    for k in range(1, 60):
        term *= -x * x / ((2 * k - 1) * 2 * k)
        total += term
    return total


@pytest.mark.parametrize(
    ("dtype", "largest", "rtol"), [("float32", 13.5, 1e-10), ("float64", 38, 1e-15)]
)
def test_the_coefficients_of_mills_ratio_interpolate_it_at_chebyshevs_nodes(
    dtype: str, largest: float, rtol: float
) -> None:
    n = len(MILLS[dtype])
    with localcontext() as context:
        context.prec = 60
        k = Decimal(MILLS_CENTRE)
        end = (Decimal(largest) - k) / (Decimal(largest) + k)
        nodes = [cosine(PI * (2 * j + 1) / (2 * n)) for j in range(n)]
        ts = [(x + 1) / 2 * (end + 1) - 1 for x in nodes]
        differences = [mills(k * (1 + t) / (1 - t)) / (1 - t) for t in ts]
        for order in range(1, n):  # Newton's divided differences
            differences[order:] = [
                (later - earlier) / (ts[order + i] - ts[i])
                for i, (earlier, later) in enumerate(pairwise(differences[order - 1 :]))
            ]
        polynomial = [Decimal(0)]  # from the highest power down
        for difference, t in zip(reversed(differences), reversed(ts), strict=True):
            shifted = [Decimal(0), *(-t * c for c in polynomial)]
            polynomial = [a + b for a, b in zip([*polynomial, Decimal(0)], shifted, strict=True)]
            polynomial[-1] += difference
        found = [float(c) for c in polynomial[-n:]]
    assert max(map(abs, polynomial[:-n])) == 0
    np.testing.assert_allclose(MILLS[dtype], found, rtol=rtol)
