"""The decoder's gradient, against PyTorch's automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.networks import draw_combinators

from mlp_cli.nn.backprop import Backpropagation, Dropout, Noise
from mlp_cli.nn.network import Network

torch = pytest.importorskip("torch", reason="needs PyTorch as an oracle")

K, SIZES = 12, (9, 8, 7, 5, 4)


def drawn_network(sizes: tuple[int, ...], activation: str, batch_norm: bool) -> Network:
    network = Network(
        sizes, activation, "cross_entropy", "float64", batch_norm=batch_norm, decoder=True
    )
    generator = np.random.default_rng(1)
    network.initialise("lecun_normal", generator)
    for b in network.biases:
        b[...] = generator.standard_normal(b.shape)
    for gamma in network.gammas:
        gamma[...] = generator.uniform(0.5, 2, gamma.shape)
    draw_combinators(network, generator)
    return network


@pytest.mark.parametrize("activation", ["relu", "silu"])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("sizes", [SIZES, (9, 6, 4), (9, 4)])
def test_every_gradient_is_that_of_pytorch(
    sizes: tuple[int, ...], activation: str, batch_norm: bool
) -> None:
    network, weight = drawn_network(sizes, activation, batch_norm), 3.0
    generator = np.random.default_rng(2)
    x = generator.uniform(0, 1, (K, sizes[0]))
    y = np.eye(sizes[-1])[generator.integers(sizes[-1], size=K)]
    key = np.array([7], np.uint64)
    passes = Backpropagation(
        network, K, dropout=Dropout(0.2, 0.3), noise=Noise(0.3, 0.2), reconstruction=weight
    )
    disturbed, z = x.copy(), np.empty((sizes[-1], K)).T
    passes(disturbed, y, z, key=key)

    leaves = [
        [torch.tensor(array, requires_grad=True) for array in kind]
        for kind in network.parameter_views
    ]
    W, b, gamma, V, A = leaves

    def normalised(u: torch.Tensor) -> torch.Tensor:
        return (u - u.mean(0)) / torch.sqrt(u.var(0, unbiased=False) + 1e-5)

    a = torch.tensor(disturbed)
    laterals = [a]
    f = getattr(torch.nn.functional, activation)
    for layer in range(len(sizes) - 2):
        h = a @ W[layer].T
        if batch_norm:
            h = gamma[layer] * normalised(h)
        h = h + torch.tensor(passes.noises[layer]) + b[layer]
        laterals.append(h)
        a = f(h) * torch.tensor(passes.masks[layer])
    q = logits = a @ W[-1].T + b[-1]
    for t, weights, of in reversed(list(zip(laterals, V, A, strict=True))):
        u = normalised(q @ weights.T)
        a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = of.T
        mean = a1 * torch.sigmoid(a2 * u + a3) + a4 * u + a5
        v = a6 * torch.sigmoid(a7 * u + a8) + a9 * u + a10
        q = (t - mean) * v + mean
    cost = -(torch.log_softmax(logits, 1) * torch.tensor(y)).sum() / K
    decoded = weight * ((q - torch.tensor(x)) ** 2).mean()
    (cost + decoded).backward()

    np.testing.assert_allclose(passes.decoder.cost(), decoded.item(), rtol=1e-12)
    for kind, found in zip(leaves, network.views(passes.gradient), strict=True):
        for expected, array in zip(kind, found, strict=True):
            np.testing.assert_allclose(array, expected.grad.numpy(), rtol=1e-9, atol=1e-12)
