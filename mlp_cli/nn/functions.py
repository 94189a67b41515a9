"""Activations, losses and initialisers, each in a registry under the name a config uses.

Shapes as in `network`: K examples, m neurons, c classes. What runs in every step writes into
buffers that the caller made once; nothing here keeps state. This module imports NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Activation(NamedTuple):
    """An activation f and its derivative, both in place; `s` is scratch of the same shape.

    `apply(z, s)` turns z into a = f(z). `backward(delta, a, s)` multiplies delta by f′(z), which it
    takes from a alone, so that no z need be kept.
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


def _sigmoid(z: Array, s: Array) -> None:
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
    "sigmoid": Activation(_sigmoid, _sigmoid_backward),
    "identity": Activation(_identity, _identity_backward),
}


class Loss(NamedTuple):
    """A loss and the output function that belongs to it.

    `delta(z, y, delta, s)` writes δ_L (K, c) from the last layer's z (K, c) and the targets y
    (K, c), with s (K, c) and the 1/K of the mean. `values(z, y)` returns each row's loss (K,), and
    `log_probabilities(z)` the logarithms (K, c) of the classes' probabilities.
    """

    delta: Callable[[Array, Array, Array, Array], None]
    values: Callable[[Array, Array], Array]
    log_probabilities: Callable[[Array], Array]


def _cross_entropy_delta(z: Array, y: Array, delta: Array, s: Array) -> None:
    # ∂C/∂z_i = (softmax(z)_i − y_i) / K. Softmax does not feel a shift of z: with each row's
    # largest z taken off, no exponential overflows, at any logits.
    row = s[:, :1]
    np.maximum.reduce(z, axis=1, keepdims=True, out=row)
    np.subtract(z, row, out=delta)
    np.exp(delta, out=delta)
    np.add.reduce(delta, axis=1, keepdims=True, out=row)
    np.divide(delta, row, out=delta)
    np.subtract(delta, y, out=delta)
    np.multiply(delta, 1 / len(z), out=delta)


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=1, keepdims=True)
    log_probabilities: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probabilities


def _cross_entropy_values(z: Array, y: Array) -> Array:
    losses: Array = -np.einsum("kc,kc->k", _log_softmax(z), y)
    return losses


def _quadratic_delta(z: Array, y: Array, delta: Array, s: Array) -> None:
    # C = ½ Σ_i (a_i − y_i)² with a = σ(z), so ∂C/∂z = (a − y) ⊙ σ′(z), and 1/K for the mean.
    np.copyto(s, z)
    _sigmoid(s, delta)
    np.subtract(s, y, out=delta)
    np.multiply(delta, 1 / len(z), out=delta)
    np.multiply(delta, s, out=delta)
    np.subtract(1, s, out=s)
    np.multiply(delta, s, out=delta)


def _quadratic_values(z: Array, y: Array) -> Array:
    a = z.copy()
    _sigmoid(a, a)
    a -= y
    losses: Array = 0.5 * np.einsum("kc,kc->k", a, a)
    return losses


def _log_normalised_sigmoid(z: Array) -> Array:
    # Ten sigmoids are no distribution; divided by their sum they are. In logarithms:
    # log σ(z) = −log(1 + e⁻ᶻ), then log-softmax.
    return _log_softmax(-np.logaddexp(0, -z))


LOSSES = {
    "cross_entropy": Loss(_cross_entropy_delta, _cross_entropy_values, _log_softmax),
    "mse": Loss(_quadratic_delta, _quadratic_values, _log_normalised_sigmoid),
}


class Initialiser(NamedTuple):
    """How a layer's first weights are drawn; biases are 0, or N(0, 1) where Nielsen's are."""

    deviation: Callable[[int, int], float]  # of w, from (m, n)
    uniform: bool = False
    normal_biases: bool = False


def _he(m: int, n: int) -> float:
    return math.sqrt(2 / n)  # He et al. (2015), equation 10


def _glorot(m: int, n: int) -> float:
    return math.sqrt(2 / (m + n))  # Glorot and Bengio (2010), equation 12


def _lecun(m: int, n: int) -> float:
    return math.sqrt(1 / n)  # LeCun et al. (1998), Efficient BackProp, equation 16


INITIALISERS = {
    "he_normal": Initialiser(_he),
    "he_uniform": Initialiser(_he, uniform=True),
    "glorot_normal": Initialiser(_glorot),
    "glorot_uniform": Initialiser(_glorot, uniform=True),
    "lecun_normal": Initialiser(_lecun),
    "lecun_uniform": Initialiser(_lecun, uniform=True),
    "nielsen": Initialiser(_lecun, normal_biases=True),  # his chapter 3
    "nielsen_large": Initialiser(lambda m, n: 1.0, normal_biases=True),  # his chapter 1
}
