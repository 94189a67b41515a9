"""Batch normalisation and dropout: running statistics, folding, names and random streams."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.networks import kept_for

from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.backprop import Backpropagation, Dropout, Noise
from mlp_cli.nn.buffers import Array, Bits, RandomBuffer
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import EPSILON, Ops
from mlp_cli.nn.splitmix import dropout_threshold

SIZES = [5, 6, 4, 3]


def normalised(dtype: str = "float64") -> tuple[Network, np.random.Generator]:
    generator = np.random.default_rng(0)
    network = Network(SIZES, "tanh", "cross_entropy", dtype, batch_norm=True)
    network.initialise("nielsen", generator)
    for gamma in network.gammas:
        gamma[...] = generator.uniform(0.5, 2, gamma.shape)
    return network, generator


@pytest.mark.parametrize("K", [1, 2, 9])
def test_running_statistics_are_averages_over_the_minibatches(K: int) -> None:
    network, generator = normalised()
    passes, z = Backpropagation(network, K), np.empty((K, 3))
    mean, variance = np.zeros(6), np.ones(6)
    for _ in range(3):
        x = generator.normal(size=(K, 5))
        passes.forward(x, z)
        inputs = x @ network.weights[0].T
        mean = 0.9 * mean + 0.1 * inputs.mean(axis=0)
        variance = 0.9 * variance + 0.1 * inputs.var(axis=0) * K / max(K - 1, 1)
    np.testing.assert_allclose(network.running_means[0], mean, rtol=1e-12)
    np.testing.assert_allclose(network.running_variances[0], variance, rtol=1e-12)
    assert network.statistics.shape == (2 * (6 + 4),)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_folded_network_computes_the_same_outputs(dtype: str) -> None:
    network, generator = normalised(dtype)
    network.statistics[...] = generator.uniform(0.5, 2, network.statistics.shape)
    x, z = generator.normal(size=(7, 5)).astype(dtype), np.empty((7, 3), dtype)
    plain = network.without_norm()
    network.fold(network.parameters, network.statistics, plain)
    Backpropagation(plain, 7).forward(x, z)

    a = x.astype("float64")
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        expected = a @ W.T
        if layer < 2:
            spread = np.sqrt(network.running_variances[layer] + EPSILON)
            expected = network.gammas[layer] * (expected - network.running_means[layer]) / spread
        expected = expected + b
        a = np.tanh(expected)
    np.testing.assert_allclose(z, expected, rtol=1e-4 if dtype == "float32" else 1e-12)
    assert (plain.activation, plain.loss) == (network.activation, network.loss)
    assert plain.parameters.dtype == dtype
    assert plain.gammas == []


def test_every_parameter_and_statistic_has_a_name() -> None:
    network, _ = normalised()
    parameters, statistics = np.arange(89.0), np.arange(100.0, 120)
    assert parameters.shape == network.parameters.shape
    named = network.named(parameters, statistics)
    assert {name: array.shape for name, array in named.items()} == {
        "layers.0.weight": (6, 5), "layers.0.bias": (6,),
        "norms.0.weight": (6,), "norms.0.bias": (6,),
        "norms.0.running_mean": (6,), "norms.0.running_var": (6,),
        "layers.1.weight": (4, 6), "layers.1.bias": (4,),
        "norms.1.weight": (4,), "norms.1.bias": (4,),
        "norms.1.running_mean": (4,), "norms.1.running_var": (4,),
        "layers.2.weight": (3, 4), "layers.2.bias": (3,),
    }  # fmt: skip
    for name, first in {
        "layers.0.weight": 0, "layers.1.weight": 30, "layers.2.weight": 54,
        "norms.0.bias": 66, "norms.1.bias": 72, "layers.2.bias": 76,
        "norms.0.weight": 79, "norms.1.weight": 85,
        "norms.0.running_mean": 100, "norms.1.running_mean": 106,
        "norms.0.running_var": 110, "norms.1.running_var": 116,
    }.items():  # fmt: skip
        assert named[name].flat[0] == first, name
        assert np.shares_memory(named[name], statistics if first >= 100 else parameters), name
    for name in ("layers.0.bias", "layers.1.bias"):
        np.testing.assert_array_equal(named[name], 0)  # the bias of the normalisation replaces it


def test_inputs_and_hidden_neurons_have_independent_masks() -> None:
    network = Network([40, 40, 2], "identity", "cross_entropy", "float64")
    passes = Backpropagation(network, 40, dropout=Dropout(0.5, 0.5))
    x = np.ones((40, 40))
    passes.forward(x, np.empty((40, 2)))
    assert {*np.unique(x)} == {0, 2}
    assert (x == 0).mean() == pytest.approx(0.5, abs=0.06)
    for hidden in (passes.masks[0], passes.masks[0].T):
        assert ((x == 0) & (hidden == 0)).mean() == pytest.approx(0.25, abs=0.06)


class Streams(Ops):
    """NumPy's operations, which also record the random streams that they use."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def dropout_mask(self, mask: RandomBuffer, key: Bits, stream: int, p: float) -> None:
        self.seen.append(stream)
        super().dropout_mask(mask, key, stream, p)

    def add_noise(
        self, z: Array, noise: RandomBuffer, key: Bits, stream: int, deviation: float
    ) -> None:
        self.seen.append(stream)
        super().add_noise(z, noise, key, stream, deviation)


def test_every_mask_and_every_noise_has_a_fixed_random_stream_of_its_own() -> None:
    network = Network([5, 6, 6, 6, 3], "relu", "cross_entropy", "float64")
    passes = Backpropagation(network, 4, dropout=Dropout(0.1, 0.1), noise=Noise(0.1, 0.1))
    ops = Streams()
    passes.forward(np.ones((4, 5)), np.empty((4, 3)), 0, ops)
    assert len(ops.seen) == len(set(ops.seen)) == 8
    # Other numbers would change the bits of a training that an earlier release began.
    assert sorted(ops.seen) == [0, 1, 2, 3, *(2**16 + layer for layer in range(4))]


def test_the_dropout_rate_is_rounded_to_a_65536th() -> None:
    for p in np.linspace(0, 0.99, 100):
        assert abs(dropout_threshold(p) - 65536 * p) <= 0.5


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_are_computed_from_what_the_activation_kept_alone(name: str) -> None:
    f, h = ACTIVATIONS[name], 1e-6
    z = np.array([-2, -0.5, 0.5, 2])
    low, a, high = z - h, z.copy(), z + h
    kept = kept_for(f, a)
    for at, of in ((low, kept_for(f, low)), (a, kept), (high, kept_for(f, high))):
        f.apply(at, of, np.full_like(z, np.nan))
    delta = np.full_like(z, 3.0)
    if f.keeps_derivative:
        a[...] = np.nan
    f.backward(delta, kept, np.full_like(z, np.nan))  # it keeps nothing else from `apply`
    np.testing.assert_allclose(delta, 3 * (high - low) / (2 * h), rtol=1e-8)
