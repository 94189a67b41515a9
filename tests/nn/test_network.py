"""Activations, losses, initialisers and the gradient against independent computations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from helpers.networks import draw_network, draw_passes, kept_for
from helpers.selection import few

from mlp_cli.compute.engine import numpy_engine
from mlp_cli.config import model_section, schema
from mlp_cli.data.batches import one_hot
from mlp_cli.gradcheck.check import TOLERANCE, compare
from mlp_cli.gradcheck.references import loop_gradient
from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.backprop import NO_KEY, Backpropagation, Dropout, Noise
from mlp_cli.nn.buffers import RandomBuffer
from mlp_cli.nn.initialisers import INITIALISERS
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import NUMPY, Ops


@pytest.mark.parametrize("seed", few(range(224), 6))
def test_the_batched_gradient_agrees_with_loop_tiling_and_differences(seed: int) -> None:
    network, x, y, generator = draw_network(seed)
    passes = draw_passes(network, len(x), seed)
    check = compare(network, passes, x, y, generator, numpy_engine())
    for layer in (*check.layers, *check.decoder):
        for method, error in layer.errors.items():
            assert error <= TOLERANCE[method], (method, layer, network.sizes)


def torch_network(
    torch,
    network: Network,
    masks: list[np.ndarray],
    noises: list[np.ndarray],
):
    """Return the same network made of PyTorch's modules, loaded by the names in checkpoints."""
    named = network.named(network.parameters, network.statistics)
    functions = {
        "relu": torch.nn.ReLU(),
        "leaky_relu": torch.nn.LeakyReLU(network.activation.constant),
        "elu": torch.nn.ELU(),
        "softplus": torch.nn.Softplus(threshold=100),  # where it becomes z
        "silu": torch.nn.SiLU(),
        "gelu": torch.nn.GELU(approximate="none"),
        "tanh": torch.nn.Tanh(),
        "sigmoid": torch.nn.Sigmoid(),
        "identity": torch.nn.Identity(),
    }

    class Scaled(torch.nn.Module):
        def forward(self, z):
            return 1.7159 * torch.tanh(2 / 3 * z)

    class Masked(torch.nn.Module):
        def __init__(self, mask: np.ndarray) -> None:
            super().__init__()
            self.mask = torch.from_numpy(mask)

        def forward(self, a):
            return a * self.mask

    class Noised(Masked):
        def forward(self, z):
            return z + self.mask

    functions["scaled_tanh"] = Scaled()
    layers = []
    for layer, W in enumerate(network.weights):
        linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        modules = {f"layers.{layer}": linear}
        hidden = layer < len(network.weights) - 1
        if network.batch_norm and hidden:
            modules[f"norms.{layer}"] = torch.nn.BatchNorm1d(len(W), dtype=torch.float64)
        for prefix, module in modules.items():
            names = {name: f"{prefix}.{name}" for name in module.state_dict()}
            found = {
                n: torch.from_numpy(named[full].copy())
                for n, full in names.items()
                if full in named
            }
            assert set(names) - set(found) <= {"num_batches_tracked"}
            module.load_state_dict(found, strict=False)
        layers += modules.values()
        if hidden:
            layers += map(Noised, noises[layer : layer + 1])
            layers += [functions[network.activation.name], *map(Masked, masks[layer : layer + 1])]
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("seed", few(range(224), 6))
def test_the_batched_gradient_agrees_with_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch, which only the tests use")
    network, x, y, _ = draw_network(seed, decoders=False)
    if network.batch_norm and len(x) == 1:
        pytest.skip("PyTorch refuses to normalise over one example")
    z = np.empty_like(y)
    backpropagate = draw_passes(network, len(x), seed)
    theirs = torch_network(torch, network, [], [])
    backpropagate(x, y, z)  # fills the masks, and drops inputs in x
    masked = torch_network(torch, network, backpropagate.masks, backpropagate.noises)
    for module, fresh in zip(
        [module for module in masked if module.state_dict()],
        [module for module in theirs if module.state_dict()],
        strict=True,
    ):
        module.load_state_dict(fresh.state_dict())  # the statistics from before the step
    logits = masked(torch.from_numpy(x))
    if network.loss is LOSSES["cross_entropy"]:
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
    else:
        a = torch.sigmoid(logits)
        loss = 0.5 * ((a - torch.from_numpy(y)) ** 2).sum(dim=1).mean()
    loss.backward()

    assert network.loss.values(z, y).mean() == pytest.approx(loss.item(), rel=1e-10)
    linears = [layer for layer in masked if isinstance(layer, torch.nn.Linear)]
    norms = [layer for layer in masked if isinstance(layer, torch.nn.BatchNorm1d)]
    views = network.views(backpropagate.gradient)
    biases = [*norms, *linears[len(norms) :]]  # the bias of a normalised layer is its β
    pairs = [
        *zip(views.weights, [linear.weight for linear in linears], strict=True),
        *zip(views.biases, [module.bias for module in biases], strict=True),
        *zip(views.gammas, [norm.weight for norm in norms], strict=True),
    ]
    least = 1e-3 * np.linalg.norm(backpropagate.gradient)
    for ours, other in pairs:
        expected = other.grad.numpy()
        assert np.linalg.norm(ours - expected) <= 1e-10 * max(np.linalg.norm(expected), least)

    for mean, variance, norm in zip(
        network.running_means, network.running_variances, norms, strict=True
    ):
        np.testing.assert_allclose(mean, norm.running_mean.numpy(), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(variance, norm.running_var.numpy(), rtol=1e-10)
    plain = network.without_norm()
    network.fold(network.parameters, network.statistics, plain)
    Backpropagation(plain, len(x)).forward(x, z)
    clean = torch.nn.Sequential(
        *[module for module in masked if type(module).__name__ not in ("Masked", "Noised")]
    )
    with torch.no_grad():
        expected = clean.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(z, expected, rtol=1e-9, atol=1e-9)


def test_the_gradient_equals_one_worked_out_by_hand() -> None:
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


def test_a_relu_below_0_passes_no_error_back() -> None:
    network = Network([1, 1, 2], "relu", "cross_entropy", "float64")
    network.weights[0][...] = -1
    network.weights[1][...] = 1
    backpropagate = Backpropagation(network, 1)
    backpropagate(np.array([[1.0]]), np.array([[1.0, 0.0]]), np.empty((1, 2)))
    assert backpropagate.weight_gradients[0] == 0


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_and_derivatives_are_finite_at_large_inputs(name: str, dtype: str) -> None:
    z = np.array([[-1e4, -1.0, 0.0, 1.0, 1e4]], dtype)
    a, s = z.copy(), np.empty_like(z)
    f = ACTIVATIONS[name]
    kept = kept_for(f, a)
    f.apply(a, kept, s)
    delta = np.ones_like(a)
    f.backward(delta, kept, s)
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


def test_cross_entropy_of_known_logits_has_known_values() -> None:
    z, y = np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(LOSSES["cross_entropy"].values(z, y), [0, 1e4])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0, 0, 0, 0.5, 2]),
        ("leaky_relu", [-0.02, -0.005, 0, 0.5, 2]),
        ("elu", [np.exp(-2) - 1, np.exp(-0.5) - 1, 0, 0.5, 2]),
        ("softplus", [np.log(1 + np.exp(z)) for z in (-2, -0.5, 0, 0.5, 2)]),
        ("silu", [z / (1 + np.exp(-z)) for z in (-2, -0.5, 0, 0.5, 2)]),
        ("gelu", [z * (1 + math.erf(z / 2**0.5)) / 2 for z in (-2, -0.5, 0, 0.5, 2)]),
        ("tanh", [-np.tanh(2), -np.tanh(0.5), 0, np.tanh(0.5), np.tanh(2)]),
        ("scaled_tanh", [1.7159 * np.tanh(2 / 3 * z) for z in (-2, -0.5, 0, 0.5, 2)]),
        ("sigmoid", [1 / (1 + np.exp(-z)) for z in (-2, -0.5, 0, 0.5, 2)]),
        ("identity", [-2, -0.5, 0, 0.5, 2]),
    ],
)
def test_activations_have_known_values(name: str, expected: list[float]) -> None:
    z = np.array([-2, -0.5, 0, 0.5, 2])
    ACTIVATIONS[name].apply(z, kept_for(ACTIVATIONS[name], z), np.empty_like(z))
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "weights"), [("cross_entropy", np.exp), ("mse", lambda z: 1 / (1 + np.exp(-z)))]
)
def test_probabilities_are_each_output_divided_by_their_sum(
    name: str, weights: Callable[[np.ndarray], np.ndarray]
) -> None:
    z = np.random.default_rng(0).normal(size=(4, 3)) * 3
    expected = weights(z) / weights(z).sum(axis=1, keepdims=True)
    found = np.exp(LOSSES[name].log_probabilities(z))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_scaled_tanh_of_1_is_nearly_1() -> None:
    z = np.array([1.0, -1.0])
    ACTIVATIONS["scaled_tanh"].apply(z, z, np.empty_like(z))
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
def test_initialisers_draw_with_the_right_deviation(
    name: str, deviation: float, bias_deviation: float
) -> None:
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
    assert all(np.shares_memory(W, network.parameters) for W in network.weights)


def test_a_batch_of_one_gives_the_gradient_of_the_loop() -> None:
    network, x, y, _ = draw_network(5)  # without normalisation and dropout
    backpropagate = Backpropagation(network, 1)
    backpropagate(x[:1], y[:1], np.empty_like(y[:1]))
    np.testing.assert_allclose(
        backpropagate.gradient, loop_gradient(backpropagate, x[:1], y[:1]), rtol=1e-12, atol=1e-15
    )


def test_forward_then_backward_equals_the_call() -> None:
    network, x, y, _ = draw_network(11)
    passes, z = Backpropagation(network, len(x)), np.empty_like(y)
    passes(x, y, z)
    expected = passes.gradient.copy()
    passes.gradient[...] = np.nan
    passes.forward(x, z)
    passes.backward(x, y, z)
    np.testing.assert_array_equal(passes.gradient, expected)


def test_the_check_finds_a_wrong_gradient_and_names_its_layer() -> None:
    class Wrong(Backpropagation):
        def __call__(
            self,
            x: np.ndarray,
            y: np.ndarray,
            z: np.ndarray,
            worker: int = 0,
            ops: Ops = NUMPY,
            key: np.ndarray = NO_KEY,
        ) -> None:
            super().__call__(x, y, z, worker, ops, key)
            dW = self.weight_gradients[1]
            ops.multiply(dW, np.full_like(dW, 1.001), dW)

    generator = np.random.default_rng(0)
    network = Network([6, 5, 4, 3], "tanh", "cross_entropy", "float64")
    network.initialise("glorot_uniform", generator)
    x, y = generator.normal(size=(7, 6)), np.eye(3)[generator.integers(3, size=7)]
    check = compare(network, Wrong(network, 7), x, y, generator, numpy_engine())
    assert check.wrong == ["layer 1"]


def test_masks_are_a_function_of_key_stream_and_position() -> None:
    whole = RandomBuffer.over(np.empty((37, 101)), 0)
    key = np.array([12345], np.uint64)
    NUMPY.dropout_mask(whole, key, 3, 0.25)
    assert {*np.unique(whole.r)} == {0, 4 / 3}
    assert (whole.r == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert (whole.r == 0).mean(axis=0).std() < 0.1  # no column, and no row, is favoured
    rows = RandomBuffer.over(np.empty((10, 101)), 20)
    NUMPY.dropout_mask(rows, key, 3, 0.25)
    np.testing.assert_array_equal(rows.r, whole.r[20:30])
    for other_key, stream in ((key, 4), (key + np.uint64(1), 3), (key + np.uint64(8), 3)):
        other = RandomBuffer.over(np.empty((37, 101)), 0)
        NUMPY.dropout_mask(other, other_key, stream, 0.25)
        both = ((other.r == 0) & (whole.r == 0)).mean()
        assert both == pytest.approx(1 / 16, abs=0.02)


def test_noise_is_a_function_of_key_stream_and_position() -> None:
    whole = RandomBuffer.over(np.empty((37, 101)), 0)
    key = np.array([12345], np.uint64)
    NUMPY.add_noise(np.zeros((37, 101)), whole, key, 3, 0.5)
    assert whole.r.mean() == pytest.approx(0, abs=0.03)
    assert whole.r.std() == pytest.approx(0.5, rel=0.02)
    assert np.abs(whole.r).max() == pytest.approx(0.5 * 3**0.5, rel=0.01)
    rows = RandomBuffer.over(np.empty((10, 101)), 20)
    NUMPY.add_noise(np.zeros((10, 101)), rows, key, 3, 0.5)
    np.testing.assert_array_equal(rows.r, whole.r[20:30])
    for other_key, stream in ((key, 4), (key + np.uint64(1), 3), (key + np.uint64(8), 3)):
        other = RandomBuffer.over(np.empty((37, 101)), 0)
        NUMPY.add_noise(np.zeros((37, 101)), other, other_key, stream, 0.5)
        assert abs(np.corrcoef(other.r.ravel(), whole.r.ravel())[0, 1]) < 0.05


def test_noise_takes_65536_evenly_spaced_values_symmetric_about_0() -> None:
    many = RandomBuffer.over(np.empty((1000, 1000)), 0)
    NUMPY.add_noise(np.zeros((1000, 1000)), many, np.array([12345], np.uint64), 0, 0.5)
    steps = many.r * 32768 / (0.5 * 3**0.5)
    assert np.abs(steps - np.floor(steps) - 0.5).max() < 1e-9
    assert (steps.min(), steps.max()) == pytest.approx((-32767.5, 32767.5), abs=1e-9)


def test_noise_is_added_before_the_bias_with_the_configured_deviation() -> None:
    network = Network([50, 400, 3], "identity", "cross_entropy", "float64")
    network.initialise("glorot_uniform", np.random.default_rng(0))
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(30, 50)), np.eye(3)[generator.integers(3, size=30)]
    passes = Backpropagation(network, 30, noise=Noise(0.5, 0.25))
    noisy = x.copy()
    passes(noisy, y, np.empty_like(y), key=np.array([7], np.uint64))
    assert (noisy - x).std() == pytest.approx(0.5, rel=0.05)
    added = passes.activations[0] - noisy @ network.weights[0].T - network.biases[0]
    np.testing.assert_allclose(added, passes.noises[0], atol=1e-12)
    assert added.std() == pytest.approx(0.25, rel=0.05)


def test_dropout_multiplies_each_hidden_activation_by_its_mask() -> None:
    network, x, y, _ = draw_network(13)
    passes = Backpropagation(network, len(x), dropout=Dropout(hidden=0.5))
    passes(x, y, np.empty_like(y), key=np.array([7], np.uint64))
    for a, r, output in zip(passes.activations, passes.masks, passes.outputs, strict=True):
        np.testing.assert_array_equal(output, a * r)
    assert len(passes.masks) == len(network.sizes) - 2 > 0


def test_limit_norms_shortens_long_rows_and_keeps_short_ones() -> None:
    W = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    NUMPY.limit_norms(W, 2.0, np.empty(3))
    np.testing.assert_allclose(W, [[1.2, 1.6], [0.3, 0.4], [0, 0]])


def test_smoothed_targets_share_the_smoothing_among_the_other_classes() -> None:
    np.testing.assert_allclose(one_hot(4, 0.2, np.dtype("float64"))[1], [0.05, 0.85, 0.05, 0.05])


def test_a_configuration_names_exactly_the_entries_of_the_registries() -> None:
    assert set(get_args(model_section.ActivationName)) == set(ACTIVATIONS)
    assert set(get_args(model_section.InitialiserName)) == set(INITIALISERS)
    assert set(get_args(schema.LossName)) == set(LOSSES)
