"""The functions of hidden neurons, in a registry under the names that a configuration uses.

Shapes: K examples, m neurons. They run in every step, so they write into buffers that the caller
made once, and keep no state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mlp_cli.nn.buffers import Array


class Activation(NamedTuple):
    """An activation f and its derivative, both in place; `s` is scratch of the same shape.

    `apply(z, s)` turns z into a = f(z). `backward(delta, a, s)` multiplies delta by f′(z). It
    computes f′(z) from a alone, so z need not be kept.
    """

    apply: Callable[[Array, Array], None]
    backward: Callable[[Array, Array, Array], None]


def _relu(z: Array, s: Array) -> None:
    np.maximum(z, 0, out=z)


def _relu_backward(delta: Array, a: Array, s: Array) -> None:
    np.sign(a, out=s)  # a ≥ 0, so this is f′: 0 or 1
    np.multiply(delta, s, out=delta)


LEAK = 0.01


def _leaky_relu(z: Array, s: Array) -> None:
    np.multiply(z, LEAK, out=s)
    np.maximum(z, s, out=z)


def _leaky_relu_backward(delta: Array, a: Array, s: Array) -> None:
    np.sign(a, out=s)
    np.maximum(s, LEAK, out=s)
    np.multiply(delta, s, out=delta)


def _elu(z: Array, s: Array) -> None:
    np.minimum(z, 0, out=s)
    np.expm1(s, out=s)
    np.maximum(z, s, out=z)  # eᶻ − 1 ≥ z, with equality at 0


def _elu_backward(delta: Array, a: Array, s: Array) -> None:
    np.minimum(a, 0, out=s)
    np.add(s, 1, out=s)
    np.multiply(delta, s, out=delta)


def _tanh(z: Array, s: Array) -> None:
    np.tanh(z, out=z)


def _tanh_backward(delta: Array, a: Array, s: Array) -> None:
    np.multiply(a, a, out=s)
    np.subtract(1, s, out=s)
    np.multiply(delta, s, out=delta)


# LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.4: f(±1) = ±1.
TANH_HEIGHT = 1.7159
TANH_SLOPE = 2 / 3


def _scaled_tanh(z: Array, s: Array) -> None:
    np.multiply(z, TANH_SLOPE, out=z)
    np.tanh(z, out=z)
    np.multiply(z, TANH_HEIGHT, out=z)


def _scaled_tanh_backward(delta: Array, a: Array, s: Array) -> None:
    np.multiply(a, a, out=s)
    np.subtract(TANH_HEIGHT**2, s, out=s)
    np.multiply(s, TANH_SLOPE / TANH_HEIGHT, out=s)
    np.multiply(delta, s, out=delta)


def sigmoid(z: Array, s: Array) -> None:
    """Turn z into σ(z)."""
    np.multiply(z, 0.5, out=z)  # σ(z) = (1 + tanh(z/2)) / 2 overflows nowhere
    np.tanh(z, out=z)
    np.multiply(z, 0.5, out=z)
    np.add(z, 0.5, out=z)


def _sigmoid_backward(delta: Array, a: Array, s: Array) -> None:
    np.subtract(1, a, out=s)
    np.multiply(s, a, out=s)
    np.multiply(delta, s, out=delta)


def _identity(z: Array, s: Array) -> None:
    """Leave z as it is."""


def _identity_backward(delta: Array, a: Array, s: Array) -> None:
    """Leave delta as it is: f′ = 1."""


ACTIVATIONS = {
    "relu": Activation(_relu, _relu_backward),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_backward),
    "elu": Activation(_elu, _elu_backward),
    "tanh": Activation(_tanh, _tanh_backward),
    "scaled_tanh": Activation(_scaled_tanh, _scaled_tanh_backward),
    "sigmoid": Activation(sigmoid, _sigmoid_backward),
    "identity": Activation(_identity, _identity_backward),
}
