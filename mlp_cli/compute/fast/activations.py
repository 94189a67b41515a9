"""The table of compiled activations: f(z), and f′(z) from a, by the names of `nn.activations`.

A loop over a layer is compiled for each of them, and a chain of branches on the code chooses one:
Numba cannot call a table of functions without a pointer, which would keep it from vectorising.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mlp_cli.compute.fast.intrinsics import exp, jit
from mlp_cli.nn.activations import ACTIVATIONS, LEAK, TANH_HEIGHT, TANH_SLOPE


class Compiled(NamedTuple):
    """a = f(z), and the slope f′(z) as a function of a. If z is not a number, neither is a."""

    value: Any
    slope: Any


@jit
def sigmoid(z):
    """Return 1 / (1 + e⁻ᶻ)."""
    one = type(z)(1)
    return one / (one + exp(-z))


@jit
def _tanh(z):
    one, two = type(z)(1), type(z)(2)
    return one - two / (one + exp(two * z))


@jit
def _step(a, below):
    if a > type(a)(0):
        return type(a)(1)
    return type(a)(below) if a <= type(a)(0) else a


COMPILED = {
    "relu": Compiled(
        jit(lambda z: type(z)(0) if z < type(z)(0) else z),
        jit(lambda a: _step(a, 0)),
    ),
    "leaky_relu": Compiled(
        jit(lambda z: z * type(z)(LEAK) if z < type(z)(0) else z),
        jit(lambda a: _step(a, LEAK)),
    ),
    "elu": Compiled(
        jit(lambda z: exp(z) - type(z)(1) if z < type(z)(0) else z),
        jit(lambda a: type(a)(1) if a > type(a)(0) else a + type(a)(1)),
    ),
    "tanh": Compiled(_tanh, jit(lambda a: type(a)(1) - a * a)),
    "scaled_tanh": Compiled(
        jit(lambda z: type(z)(TANH_HEIGHT) * _tanh(type(z)(TANH_SLOPE) * z)),
        jit(lambda a: (type(a)(TANH_HEIGHT**2) - a * a) * type(a)(TANH_SLOPE / TANH_HEIGHT)),
    ),
    "sigmoid": Compiled(sigmoid, jit(lambda a: a * (type(a)(1) - a))),
    "identity": Compiled(jit(lambda z: z), jit(lambda a: type(a)(1))),
}


def _activate_by(f: Any) -> Any:
    @jit
    def activate(z, b, K, stride):
        for i in range(len(b)):
            neuron, bias = z[i * stride : i * stride + K], b[i]
            for k in range(K):
                neuron[k] = f(neuron[k] + bias)

    return activate


def _derive_by(slope: Any) -> Any:
    @jit
    def derive(delta, a):
        for i in range(len(delta)):
            delta[i] *= slope(a[i])

    return derive


def _branches(loops: Sequence[Any], branch: Callable[[int, Any, Any], Any]) -> Any:
    """Return a function of a code, and of what the loops take, that runs the loop of that code."""
    chosen = branch(len(loops) - 1, loops[-1], loops[-1])
    for code in range(len(loops) - 2, -1, -1):
        chosen = branch(code, loops[code], chosen)
    return chosen


def _activate_branch(code: int, loop: Any, others: Any) -> Any:
    if loop is others:
        return jit(lambda f, z, b, K, stride: loop(z, b, K, stride))

    @jit
    def branch(f, z, b, K, stride):
        if f == code:
            loop(z, b, K, stride)
        else:
            others(f, z, b, K, stride)

    return branch


def _derive_branch(code: int, loop: Any, others: Any) -> Any:
    if loop is others:
        return jit(lambda f, delta, a: loop(delta, a))

    @jit
    def branch(f, delta, a):
        if f == code:
            loop(delta, a)
        else:
            others(f, delta, a)

    return branch


_TABLE = [COMPILED[name] for name in ACTIVATIONS]  # in the order of the codes

# Turn z into f(z + b), and δ into δ ⊙ f′(z) from a; f is a code.
activate = _branches([_activate_by(f.value) for f in _TABLE], _activate_branch)
multiply_by_derivative = _branches([_derive_by(f.slope) for f in _TABLE], _derive_branch)
