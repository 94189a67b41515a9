"""The functions of hidden neurons, in a registry under the names that a configuration uses.

Shapes: K examples, m neurons. They run in every step, so they write into buffers that the caller
made once, and keep no state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from mlp_cli.nn.buffers import Array
from mlp_cli.nn.normal import DENSITY_AT_0, MILLS, MILLS_CENTRE


class Activation(NamedTuple):
    """An activation f and its derivative. All arrays of a call have one shape; `s` is scratch.

    `apply(z, kept, s)` turns z into a = f(z), in place. `backward(delta, kept, s)` multiplies delta
    by f′(z), from what `apply` left in `kept`. That is a itself, and no other array, if f′(z) can
    be computed from a. If it cannot, `keeps_derivative` is true. Then `kept` is an array of its
    own, and `apply` writes f′(z) to it: f and f′ share their costly part.

    `name` is the key in `ACTIVATIONS`. `constant` is the number that the functions depend on, for
    compiled code.
    """

    name: str
    apply: Callable[[Array, Array, Array], None]
    backward: Callable[[Array, Array, Array], None]
    keeps_derivative: bool = False
    constant: float = 0.0


def _relu(z: Array, kept: Array, s: Array) -> None:
    np.maximum(z, 0, out=z)


def _relu_backward(delta: Array, a: Array, s: Array) -> None:
    np.sign(a, out=s)  # a ≥ 0, so this is f′: 0 or 1
    np.multiply(delta, s, out=delta)


def _leaky_relu(slope: float, z: Array, kept: Array, s: Array) -> None:
    np.multiply(z, slope, out=s)
    np.maximum(z, s, out=z)


def _leaky_relu_backward(slope: float, delta: Array, a: Array, s: Array) -> None:
    np.sign(a, out=s)
    np.maximum(s, slope, out=s)
    np.multiply(delta, s, out=delta)


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """Return the activation that is z above 0, and the slope times z below; 0 ≤ slope < 1."""
    return Activation(
        "leaky_relu",
        partial(_leaky_relu, negative_slope),
        partial(_leaky_relu_backward, negative_slope),
        constant=negative_slope,
    )


def _elu(z: Array, kept: Array, s: Array) -> None:
    np.minimum(z, 0, out=s)
    np.expm1(s, out=s)
    np.maximum(z, s, out=z)  # eᶻ − 1 ≥ z, with equality at 0


def _elu_backward(delta: Array, a: Array, s: Array) -> None:
    np.minimum(a, 0, out=s)
    np.add(s, 1, out=s)
    np.multiply(delta, s, out=delta)


def _softplus(z: Array, kept: Array, s: Array) -> None:
    np.abs(z, out=s)
    np.negative(s, out=s)
    np.exp(s, out=s)
    np.log1p(s, out=s)
    np.maximum(z, 0, out=z)  # log(1 + eᶻ) = max(z, 0) + log(1 + e⁻|ᶻ|) overflows nowhere
    np.add(z, s, out=z)


def _softplus_backward(delta: Array, a: Array, s: Array) -> None:
    np.negative(a, out=s)
    np.expm1(s, out=s)
    np.negative(s, out=s)  # f′ = 1 − e⁻ᵃ
    np.multiply(delta, s, out=delta)


def _tanh(z: Array, kept: Array, s: Array) -> None:
    np.tanh(z, out=z)


def _tanh_backward(delta: Array, a: Array, s: Array) -> None:
    np.multiply(a, a, out=s)
    np.subtract(1, s, out=s)
    np.multiply(delta, s, out=delta)


# LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.4: f(±1) = ±1.
TANH_HEIGHT = 1.7159
TANH_SLOPE = 2 / 3


def _scaled_tanh(z: Array, kept: Array, s: Array) -> None:
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


def _sigmoid(z: Array, kept: Array, s: Array) -> None:
    sigmoid(z, s)


def _sigmoid_backward(delta: Array, a: Array, s: Array) -> None:
    np.subtract(1, a, out=s)
    np.multiply(s, a, out=s)
    np.multiply(delta, s, out=delta)


def _identity(z: Array, kept: Array, s: Array) -> None:
    """Leave z as it is."""


def _identity_backward(delta: Array, a: Array, s: Array) -> None:
    """Leave delta as it is: f′ = 1."""


SILU_LOWEST = -87.0  # silu is above −10⁻³⁵ below this z, and e⁻ᶻ overflows in float32 soon after


def _silu(z: Array, derivative: Array, s: Array) -> None:
    """Turn z into z σ(z) (Ramachandran et al., 2017); f′ = σ(z) (1 + z − f(z))."""
    np.maximum(z, SILU_LOWEST, out=derivative)
    np.negative(derivative, out=s)
    np.exp(s, out=s)
    np.add(s, 1, out=s)
    np.divide(1, s, out=s)  # σ(z)
    np.multiply(derivative, s, out=z)
    np.subtract(derivative, z, out=derivative)
    np.add(derivative, 1, out=derivative)
    np.multiply(derivative, s, out=derivative)


def _gelu(z: Array, derivative: Array, s: Array) -> None:
    """Turn z into z Φ(z) (Hendrycks and Gimpel, 2016); f′ = Φ(z) + z φ(z).

    With w = |z| and the tail Φ(−w), f = max(z, 0) − w Φ(−w), which nowhere cancels. f′ is
    h = Φ(−w) − w φ(w) if z < 0, and 1 − h otherwise.
    """
    t = derivative
    np.abs(z, out=t)
    np.add(t, MILLS_CENTRE, out=t)
    np.divide(-2 * MILLS_CENTRE, t, out=t)
    np.add(t, 1, out=t)
    first, *others = MILLS[z.dtype.name]
    np.multiply(t, first, out=s)
    for coefficient in others[:-1]:
        np.add(s, coefficient, out=s)
        np.multiply(s, t, out=s)
    np.add(s, others[-1], out=s)
    np.subtract(1, t, out=t)
    np.multiply(s, t, out=s)  # Mills' ratio
    np.multiply(z, z, out=derivative)
    np.multiply(derivative, -0.5, out=derivative)
    np.exp(derivative, out=derivative)
    np.multiply(derivative, DENSITY_AT_0, out=derivative)  # φ(w)
    np.multiply(s, derivative, out=s)  # Φ(−w)
    np.multiply(derivative, z, out=derivative)
    np.abs(derivative, out=derivative)
    np.subtract(derivative, s, out=derivative)  # −h
    np.add(derivative, 0.5, out=derivative)
    np.copysign(derivative, z, out=derivative)  # h ≤ ½
    np.add(derivative, 0.5, out=derivative)
    np.multiply(s, z, out=s)
    np.abs(s, out=s)
    np.maximum(z, 0, out=z)
    np.subtract(z, s, out=z)


def _multiply_by_kept(delta: Array, derivative: Array, s: Array) -> None:
    np.multiply(delta, derivative, out=delta)


ACTIVATIONS = {
    f.name: f
    for f in (
        Activation("relu", _relu, _relu_backward),
        leaky_relu(),
        Activation("elu", _elu, _elu_backward),
        Activation("softplus", _softplus, _softplus_backward),
        Activation("silu", _silu, _multiply_by_kept, keeps_derivative=True),
        Activation("gelu", _gelu, _multiply_by_kept, keeps_derivative=True),
        Activation("tanh", _tanh, _tanh_backward),
        Activation("scaled_tanh", _scaled_tanh, _scaled_tanh_backward),
        Activation("sigmoid", _sigmoid, _sigmoid_backward),
        Activation("identity", _identity, _identity_backward),
    )
}
