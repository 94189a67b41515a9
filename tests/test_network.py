"""The mathematics: activations, losses, initialisers and the gradient, against oracles."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from mlp_cli import settings
from mlp_cli.functions import ACTIVATIONS, INITIALISERS, LOSSES
from mlp_cli.gradcheck import TOLERANCE, compare, loop_gradient
from mlp_cli.network import Backpropagation, Network
from mlp_cli.operations import NUMPY, NumPyKernels, Operations
from mlp_cli.team import Team


def draw_network(seed: int) -> tuple[Network, np.ndarray, np.ndarray, np.random.Generator]:
    """A network of drawn shape, with every activation, loss and initialiser in turn."""
    drawn = np.random.default_rng(seed)
    names = list(itertools.product(ACTIVATIONS, LOSSES, INITIALISERS))
    activation, loss, init = names[seed * 37 % len(names)]
    hidden = [int(m) for m in drawn.integers(1, 40, drawn.integers(0, 4))]
    sizes = [int(drawn.integers(1, 60)), *hidden, int(drawn.integers(2, 11))]
    network = Network(sizes, activation, loss, "float64")
    network.initialise(init, drawn)
    K = int(drawn.integers(1, 40))
    x = drawn.normal(size=(K, sizes[0]))
    y = np.eye(sizes[-1])[drawn.integers(sizes[-1], size=K)]
    return network, x, y, drawn


@pytest.mark.parametrize("seed", range(224))
def test_batched_gradient_against_loop_tiling_and_differences(seed: int) -> None:
    network, x, y, drawn = draw_network(seed)
    check = compare(network, Backpropagation(network, len(x)), x, y, drawn, Team(1), NumPyKernels())
    for layer in check.layers:
        for way, error in layer.errors.items():
            assert error <= TOLERANCE[way], (way, layer, network.sizes)


def torch_network(torch, network: Network, activation: str):
    """The same network of torch's own parts, built by the names that checkpoints use."""
    functions = {
        "relu": torch.nn.ReLU(),
        "leaky_relu": torch.nn.LeakyReLU(0.01),
        "elu": torch.nn.ELU(),
        "tanh": torch.nn.Tanh(),
        "sigmoid": torch.nn.Sigmoid(),
        "identity": torch.nn.Identity(),
    }

    class Scaled(torch.nn.Module):
        def forward(self, z):
            return 1.7159 * torch.tanh(2 / 3 * z)

    functions["scaled_tanh"] = Scaled()
    layers = []
    for W, b in zip(network.weights, network.biases, strict=True):
        linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, functions[activation]]
    return torch.nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("seed", range(224))
def test_batched_gradient_against_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an oracle of the tests only")
    network, x, y, _ = draw_network(seed)
    activation = next(name for name, f in ACTIVATIONS.items() if f is network.activation)
    z = np.empty_like(y)
    backpropagate = Backpropagation(network, len(x))
    backpropagate(x, y, z)

    theirs = torch_network(torch, network, activation)
    logits = theirs(torch.from_numpy(x))
    if network.loss is LOSSES["cross_entropy"]:
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y.argmax(axis=1)))
    else:
        a = torch.sigmoid(logits)
        loss = 0.5 * ((a - torch.from_numpy(y)) ** 2).sum(dim=1).mean()
    loss.backward()

    assert network.loss.values(z, y).mean() == pytest.approx(loss.item(), rel=1e-10)
    linears = [layer for layer in theirs if isinstance(layer, torch.nn.Linear)]
    for layer, linear in enumerate(linears):
        for ours, other in (
            (backpropagate.weight_gradients[layer], linear.weight.grad.numpy()),
            (backpropagate.bias_gradients[layer], linear.bias.grad.numpy()),
        ):
            assert np.linalg.norm(ours - other) <= 1e-10 * max(np.linalg.norm(other), 1e-12)


def test_a_gradient_worked_by_hand() -> None:
    # Two inputs, one relu, two classes, one example: x = (1, 2), z1 = 0.5·1 + 0.25·2 + 0 = 1,
    # z2 = (1, 0) · 1 = (1, 0), y = class 1, so δ2 = softmax(1, 0) − (0, 1) = (p, −p) with
    # p = e / (1 + e); δ1 = (1, 0) · δ2 = p; ΔW2 = δ2 a1 = (p, −p), ΔW1 = δ1 x = (p, 2p).
    network = Network([2, 1, 2], "relu", "cross_entropy", "float64")
    network.weights[0][...] = [[0.5, 0.25]]
    network.weights[1][...] = [[1.0], [0.0]]
    backpropagate = Backpropagation(network, 1)
    z = np.empty((1, 2))
    backpropagate(np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]]), z)
    p = np.e / (1 + np.e)
    np.testing.assert_allclose(z, [[1, 0]])
    np.testing.assert_allclose(backpropagate.gradient, [p, 2 * p, p, -p, p, p, -p])


def test_relu_of_a_dead_unit_passes_no_error() -> None:
    network = Network([1, 1, 2], "relu", "cross_entropy", "float64")
    network.weights[0][...] = -1
    network.weights[1][...] = 1
    backpropagate = Backpropagation(network, 1)
    backpropagate(np.array([[1.0]]), np.array([[1.0, 0.0]]), np.empty((1, 2)))
    assert backpropagate.weight_gradients[0] == 0


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_are_finite_at_any_logit(name: str, dtype: str) -> None:
    z = np.array([[-1e4, -1.0, 0.0, 1.0, 1e4]], dtype)
    a, s = z.copy(), np.empty_like(z)
    ACTIVATIONS[name].apply(a, s)
    delta = np.ones_like(a)
    ACTIVATIONS[name].backward(delta, a, s)
    assert np.isfinite(a).all()
    assert np.isfinite(delta).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_are_stable_at_large_logits(name: str, dtype: str) -> None:
    z = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]], dtype)
    y = np.eye(3, dtype=dtype)
    loss, delta, s = LOSSES[name], np.empty_like(z), np.empty_like(z)
    loss.delta(z, y, delta, s)
    assert np.isfinite(delta).all()
    assert np.isfinite(loss.values(z, y)).all()
    assert not np.isnan(loss.log_probabilities(z)).any()
    np.testing.assert_allclose(np.exp(loss.log_probabilities(z)).sum(axis=1), 1, rtol=1e-5)


def test_cross_entropy_of_known_logits() -> None:
    z, y = np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(LOSSES["cross_entropy"].values(z, y), [0, 1e4])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0, 0, 0, 0.5, 2]),
        ("leaky_relu", [-0.02, -0.005, 0, 0.5, 2]),
        ("elu", [np.exp(-2) - 1, np.exp(-0.5) - 1, 0, 0.5, 2]),
        ("tanh", [-np.tanh(2), -np.tanh(0.5), 0, np.tanh(0.5), np.tanh(2)]),
        ("scaled_tanh", [1.7159 * np.tanh(2 / 3 * z) for z in (-2, -0.5, 0, 0.5, 2)]),
        ("sigmoid", [1 / (1 + np.exp(-z)) for z in (-2, -0.5, 0, 0.5, 2)]),
        ("identity", [-2, -0.5, 0, 0.5, 2]),
    ],
)
def test_activations_at_known_places(name: str, expected: list[float]) -> None:
    z = np.array([-2, -0.5, 0, 0.5, 2])
    ACTIVATIONS[name].apply(z, np.empty_like(z))
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "weights"), [("cross_entropy", np.exp), ("mse", lambda z: 1 / (1 + np.exp(-z)))]
)
def test_probabilities_are_the_outputs_shares(
    name: str, weights: Callable[[np.ndarray], np.ndarray]
) -> None:
    z = np.random.default_rng(0).normal(size=(4, 3)) * 3
    expected = weights(z) / weights(z).sum(axis=1, keepdims=True)
    found = np.exp(LOSSES[name].log_probabilities(z))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_scaled_tanh_keeps_one_at_one() -> None:
    z = np.array([1.0, -1.0])
    ACTIVATIONS["scaled_tanh"].apply(z, np.empty_like(z))
    np.testing.assert_allclose(z, [1, -1], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "deviation", "bias_deviation"),
    [
        ("he_normal", (2 / 500) ** 0.5, 0),
        ("he_uniform", (2 / 500) ** 0.5, 0),
        ("glorot_normal", (2 / 800) ** 0.5, 0),
        ("glorot_uniform", (2 / 800) ** 0.5, 0),
        ("lecun_normal", (1 / 500) ** 0.5, 0),
        ("lecun_uniform", (1 / 500) ** 0.5, 0),
        ("nielsen", (1 / 500) ** 0.5, 1),
        ("nielsen_large", 1, 1),
    ],
)
def test_initialisers(name: str, deviation: float, bias_deviation: float) -> None:
    network = Network([500, 300], "relu", "cross_entropy", "float64")
    network.initialise(name, np.random.default_rng(0))
    W, b = network.weights[0], network.biases[0]
    assert W.std() == pytest.approx(deviation, rel=0.02)
    assert abs(W.mean()) < 0.01 * deviation
    assert b.std() == pytest.approx(bias_deviation, rel=0.15)
    assert abs(b.mean()) <= 0.15 * bias_deviation
    if name.endswith("uniform"):
        assert abs(W).max() == pytest.approx(deviation * 3**0.5, rel=0.01)


def test_parameters_are_one_vector_with_the_weights_first() -> None:
    network = Network([4, 3, 2], "relu", "cross_entropy")
    assert network.parameters.shape == (4 * 3 + 3 * 2 + 3 + 2,)
    assert network.weight_count == 18
    network.parameters[...] = np.arange(23)
    assert network.weights[1].tolist() == [[12, 13, 14], [15, 16, 17]]
    assert network.biases[0].tolist() == [18, 19, 20]
    assert all(np.shares_memory(part, network.parameters) for part in network.weights)


def test_a_batch_of_one_is_the_loop() -> None:
    network, x, y, _ = draw_network(5)
    backpropagate = Backpropagation(network, 1)
    backpropagate(x[:1], y[:1], np.empty_like(y[:1]))
    np.testing.assert_allclose(
        backpropagate.gradient, loop_gradient(network, x[:1], y[:1]), rtol=1e-12, atol=1e-15
    )


def test_the_two_passes_are_the_call() -> None:
    network, x, y, _ = draw_network(11)
    passes, z = Backpropagation(network, len(x)), np.empty_like(y)
    passes(x, y, z)
    expected = passes.gradient.copy()
    passes.gradient[...] = np.nan
    passes.forward(x, z)
    passes.backward(x, y, z)
    np.testing.assert_array_equal(passes.gradient, expected)


def test_a_wrong_gradient_is_found_and_its_layer_named() -> None:
    class Wrong(Backpropagation):
        def __call__(
            self,
            x: np.ndarray,
            y: np.ndarray,
            z: np.ndarray,
            part: int = 0,
            do: Operations = NUMPY,
        ) -> None:
            super().__call__(x, y, z, part, do)
            self.weight_gradients[1] *= 1.001

    drawn = np.random.default_rng(0)
    network = Network([6, 5, 4, 3], "tanh", "cross_entropy", "float64")
    network.initialise("glorot_uniform", drawn)
    x, y = drawn.normal(size=(7, 6)), np.eye(3)[drawn.integers(3, size=7)]
    check = compare(network, Wrong(network, 7), x, y, drawn, Team(1), NumPyKernels())
    assert check.wrong == ["layer 1"]


def test_the_registries_are_what_a_configuration_may_say() -> None:
    assert set(get_args(settings.Activation)) == set(ACTIVATIONS)
    assert set(get_args(settings.Init)) == set(INITIALISERS)
    assert set(get_args(settings.Loss)) == set(LOSSES)
