"""The losses and their output functions, in a registry under the names that a configuration uses.

Shapes: K examples, c classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from mlp_cli.nn.activations import sigmoid
from mlp_cli.nn.buffers import Array


class Loss(NamedTuple):
    """A loss and the output function that belongs to it.

    `delta(z, y, delta, s)` writes δ_L (K, c), with the 1/K of the mean, from z (K, c) of the last
    layer and the targets y (K, c); s (K, c) is scratch. `values(z, y)` returns the loss (K,) of
    each example, and `log_probabilities(z)` the logarithms (K, c) of the classes' probabilities.
    """

    delta: Callable[[Array, Array, Array, Array], None]
    values: Callable[[Array, Array], Array]
    log_probabilities: Callable[[Array], Array]


@cache
def _ones(c: int, dtype: np.dtype[np.floating]) -> Array:
    return np.ones((c, c), dtype)


def _cross_entropy_delta(z: Array, y: Array, delta: Array, s: Array) -> None:
    # ∂C/∂z_i = (softmax(z)_i − y_i) / K. A shift of z does not change the softmax. With the largest
    # z of each row subtracted, no exponential overflows.
    row = s[:, :1]
    np.maximum.reduce(z, axis=1, keepdims=True, out=row)
    np.subtract(z, row, out=delta)
    np.exp(delta, out=delta)
    np.matmul(delta, _ones(delta.shape[1], delta.dtype), out=s)  # Σ_i, beside every i
    np.divide(delta, s, out=delta)
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
    sigmoid(s, delta)
    np.subtract(s, y, out=delta)
    np.multiply(delta, 1 / len(z), out=delta)
    np.multiply(delta, s, out=delta)
    np.subtract(1, s, out=s)
    np.multiply(delta, s, out=delta)


def _quadratic_values(z: Array, y: Array) -> Array:
    a = z.copy()
    sigmoid(a, a)
    a -= y
    losses: Array = 0.5 * np.einsum("kc,kc->k", a, a)
    return losses


def _log_normalised_sigmoid(z: Array) -> Array:
    # Sigmoids divided by their sum are a distribution. In logarithms: log σ(z) = −log(1 + e⁻ᶻ),
    # then log-softmax.
    return _log_softmax(-np.logaddexp(0, -z))


LOSSES = {
    "cross_entropy": Loss(_cross_entropy_delta, _cross_entropy_values, _log_softmax),
    "mse": Loss(_quadratic_delta, _quadratic_values, _log_normalised_sigmoid),
}
