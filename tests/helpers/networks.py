"""Networks, update rules and kernels for several tests."""

from __future__ import annotations

import importlib.util
import itertools

import numpy as np

from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.data.batches import one_hot
from mlp_cli.nn.activations import ACTIVATIONS, Activation
from mlp_cli.nn.backprop import Backpropagation, Dropout, Noise
from mlp_cli.nn.initialisers import INITIALISERS
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.network import Network
from mlp_cli.nn.optimizers import OPTIMIZERS, Optimizer

KERNELS: list[type[Kernels]] = [NumPyKernels]
if importlib.util.find_spec("numba"):
    from mlp_cli.compute.fast.kernels import FastKernels

    KERNELS.append(FastKernels)

# The names of update rules, with options.
RULES = [
    ("sgd", {}),
    ("sgd", {"weight_decay": 0.1}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "weight_decay": 0.1}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.5, "nesterov": True, "weight_decay": 0.01}),
    ("rmsprop", {}),
    ("rmsprop", {"rho": 0.9, "epsilon": 1e-3, "weight_decay": 0.1}),
    ("adam", {}),
    ("adam", {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3, "weight_decay": 0.1}),
    ("adamw", {}),
    ("adamw", {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3, "weight_decay": 0.1}),
]


def draw_network(
    seed: int, *, decoders: bool = True
) -> tuple[Network, np.ndarray, np.ndarray, np.random.Generator]:
    """Return a random network, its inputs x, its targets y, and the generator.

    Seeds go through all activations, losses and initialisers. Every third network has batch
    normalisation, and every fourth a decoder if there may be `decoders`.
    """
    generator = np.random.default_rng(seed)
    names = list(itertools.product(ACTIVATIONS, LOSSES, INITIALISERS))
    activation, loss, init = names[seed * 37 % len(names)]
    hidden = [int(m) for m in generator.integers(1, 40, generator.integers(0, 4))]
    sizes = [int(generator.integers(1, 60)), *hidden, int(generator.integers(2, 11))]
    batch_norm, decoder = seed % 3 == 0, decoders and seed % 4 == 2
    network = Network(sizes, activation, loss, "float64", batch_norm=batch_norm, decoder=decoder)
    network.initialise(init, generator)
    draw_combinators(network, generator)
    for gamma in network.gammas:
        gamma *= generator.uniform(0.5, 2, gamma.shape)
    K = int(generator.integers(1, 40))
    x = generator.normal(size=(K, sizes[0]))
    targets = one_hot(sizes[-1], 0.1 if seed % 5 == 0 else 0.0, network.dtype)
    y = targets[generator.integers(sizes[-1], size=K)]
    return network, x, y, generator


def draw_combinators(network: Network, generator: np.random.Generator) -> None:
    """Move the constants of a decoder away from their start, where most of its gradient is 0."""
    for A in network.parameter_views.combinators:
        A += 0.5 * generator.standard_normal(A.shape)


def kept_for(f: Activation, z: np.ndarray) -> np.ndarray:
    """Return the array in which an activation of z leaves what its derivative needs."""
    return np.full_like(z, np.nan) if f.keeps_derivative else z


def draw_passes(network: Network, K: int, seed: int, workers: int = 1) -> Backpropagation:
    """Return the passes of a network; the seed chooses dropout and noise."""
    dropout = Dropout((0, 0.2)[seed // 2 % 2], (0, 0.5)[seed // 4 % 2])
    noise = Noise((0, 0.3)[seed // 3 % 2], (0, 0.2)[seed // 5 % 2])
    reconstruction = 3.0 if network.parameter_views.combinators else 0.0
    return Backpropagation(
        network,
        K,
        workers=workers,
        dropout=dropout,
        noise=noise,
        reconstruction=reconstruction,
    )


def make_optimizer(
    name: str,
    parameters: np.ndarray,
    gradient: np.ndarray,
    weight_count: int,
    *,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
    shares: list[list[slice]] | None = None,
    **options: float,
) -> Optimizer:
    """Return an optimizer whose rule has these options."""
    return Optimizer(
        OPTIMIZERS[name](**options),
        parameters,
        gradient,
        weight_count,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        shares=shares,
    )
