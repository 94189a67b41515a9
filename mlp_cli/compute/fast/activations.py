"""The table of compiled activations: f(z), and f′(z) from a, by the names of `nn.activations`.

A loop over a layer is compiled for each of them, and a tree of branches on the code chooses one:
Numba cannot call a table of functions without a pointer, which would keep it from vectorising.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mlp_cli.compute.fast.intrinsics import exp, jit
from mlp_cli.compute.fast.smooth import gelu, silu, softplus
from mlp_cli.nn.activations import ACTIVATIONS, TANH_HEIGHT, TANH_SLOPE


class Compiled(NamedTuple):
    """a = f(z), and the slope f′(z) as a function of a. If z is not a number, neither is a.

    The second argument of both is the constant of the activation. If it keeps its derivative,
    `value` returns a and f′(z), and there is no `slope`.
    """

    value: Any
    slope: Any = None


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
        jit(lambda z, _: type(z)(0) if z < type(z)(0) else z),
        jit(lambda a, _: _step(a, 0)),
    ),
    "leaky_relu": Compiled(
        jit(lambda z, below: z * type(z)(below) if z < type(z)(0) else z),
        jit(lambda a, below: _step(a, below)),
    ),
    "elu": Compiled(
        jit(lambda z, _: exp(z) - type(z)(1) if z < type(z)(0) else z),
        jit(lambda a, _: type(a)(1) if a > type(a)(0) else a + type(a)(1)),
    ),
    "softplus": Compiled(softplus, jit(lambda a, _: type(a)(1) - exp(-a))),
    "silu": Compiled(silu),
    "gelu": Compiled(gelu),
    "tanh": Compiled(jit(lambda z, _: _tanh(z)), jit(lambda a, _: type(a)(1) - a * a)),
    "scaled_tanh": Compiled(
        jit(lambda z, _: type(z)(TANH_HEIGHT) * _tanh(type(z)(TANH_SLOPE) * z)),
        jit(lambda a, _: (type(a)(TANH_HEIGHT**2) - a * a) * type(a)(TANH_SLOPE / TANH_HEIGHT)),
    ),
    "sigmoid": Compiled(jit(lambda z, _: sigmoid(z)), jit(lambda a, _: a * (type(a)(1) - a))),
    "identity": Compiled(jit(lambda z, _: z), jit(lambda a, _: type(a)(1))),
}


def _activate_by(function: Compiled) -> Any:
    value = function.value
    if function.slope is None:

        @jit
        def activate(f, z, b, kept, K, stride, constant):
            for i in range(len(b)):
                neuron, bias = z[i * stride : i * stride + K], b[i]
                slopes = kept[i * stride : i * stride + K]
                for k in range(K):
                    neuron[k], slopes[k] = value(neuron[k] + bias, constant)

    else:

        @jit
        def activate(f, z, b, kept, K, stride, constant):
            for i in range(len(b)):
                neuron, bias = z[i * stride : i * stride + K], b[i]
                for k in range(K):
                    neuron[k] = value(neuron[k] + bias, constant)

    return activate


def _derive_by(slope: Any) -> Any:
    @jit
    def derive(f, delta, a, constant):
        for i in range(len(delta)):
            delta[i] *= slope(a[i], constant)

    return derive


def _tree(loops: Sequence[tuple[int, Any]], branch: Callable[..., Any]) -> Any:
    """Return a function of a code, and of what the loops take, that runs the loop of that code.

    `loops` have rising codes. Each `branch` has four ways, because it takes as long to compile as a
    loop, and Numba optimises what it calls once more: two ways would need twice as many branches.
    """
    if len(loops) == 1:
        return loops[0][1]
    size = -(-len(loops) // 4)
    parts = [loops[start : start + size] for start in range(0, len(loops), size)]
    parts += parts[-1:] * (4 - len(parts))  # the last again, for what is missing
    return branch([part[0][0] for part in parts], *(_tree(part, branch) for part in parts))


def _activate_branch(codes: Sequence[int], one: Any, two: Any, three: Any, four: Any) -> Any:
    _, second, third, fourth = codes

    @jit
    def branch(f, z, b, kept, K, stride, constant):
        if f < second:
            one(f, z, b, kept, K, stride, constant)
        elif f < third:
            two(f, z, b, kept, K, stride, constant)
        elif f < fourth:
            three(f, z, b, kept, K, stride, constant)
        else:
            four(f, z, b, kept, K, stride, constant)

    return branch


def _derive_branch(codes: Sequence[int], one: Any, two: Any, three: Any, four: Any) -> Any:
    _, second, third, fourth = codes

    @jit
    def branch(f, delta, a, constant):
        if f < second:
            one(f, delta, a, constant)
        elif f < third:
            two(f, delta, a, constant)
        elif f < fourth:
            three(f, delta, a, constant)
        else:
            four(f, delta, a, constant)

    return branch


_TABLE = [(code, COMPILED[name]) for code, name in enumerate(ACTIVATIONS)]

# Turn z into f(z + b), and δ into δ ⊙ f′(z) from a. The first argument is the code of f, the last
# its constant.
activate = _tree([(code, _activate_by(f)) for code, f in _TABLE], _activate_branch)
multiply_by_derivative = _tree(
    [(code, _derive_by(f.slope)) for code, f in _TABLE if f.slope], _derive_branch
)
