"""softplus, silu and gelu for compiled code, in arithmetic that loops can vectorise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

from mlp_cli.compute.fast.intrinsics import exp
from mlp_cli.nn.activations import SILU_LOWEST
from mlp_cli.nn.normal import DENSITY_AT_0, MILLS, MILLS_CENTRE

# No "reassoc": what is written below avoids cancellation by its order. LLVM vectorises a loop over
# them only if they are inlined, and would not inline the longest of them by itself.
ordered = numba.njit(
    nogil=True, error_model="numpy", fastmath={"contract", "nsz"}, forceinline=True
)


def _polynomial(coefficients: Mapping[str, Sequence[float]]) -> Any:
    """Return a polynomial, from its coefficients by type, each from the highest power down.

    It is written as a chain without a loop: Numba leaves a loop over constants rolled up, and a
    loop that contains one is not vectorised.
    """

    @intrinsic
    def value(_, x):
        def build(context, builder, signature, args):
            kind = context.get_value_type(x)
            highest, *others = (ir.Constant(kind, each) for each in coefficients[x.name])
            total = highest
            for coefficient in others:
                total = builder.fmul(total, args[0], flags=["contract"])
                total = builder.fadd(total, coefficient, flags=["contract"])
            return total

        return x(x), build

    return value


# 2 artanh(r) / r = 2 Σ r²ᵏ / (2k + 1); for r ≤ ⅓, float64 needs so many terms, and float32 eight.
_ARTANH = [2 / (2 * k + 1) for k in range(16, -1, -1)]
_artanh = _polynomial({"float32": _ARTANH[-8:], "float64": _ARTANH})
_mills = _polynomial(MILLS)
_UNDERFLOW = 38.0  # φ(w) is 0 from this w on, in both types


@ordered
def softplus(z, _):
    """Return log(1 + eᶻ) = max(z, 0) + 2 artanh(e / (2 + e)), e = exp(−|z|)."""
    e = exp(-abs(z))
    r = e / (type(z)(2) + e)
    return (z if z > type(z)(0) else type(z)(0)) + r * _artanh(r * r)


@ordered
def silu(z, _):
    """Return z σ(z), and its derivative σ(z) (1 + z − z σ(z))."""
    one, lowest = type(z)(1), type(z)(SILU_LOWEST)
    z = lowest if z < lowest else z
    s = one / (one + exp(-z))
    a = z * s
    return a, s * (one + (z - a))


@ordered
def gelu(z, _):
    """Return z Φ(z), and its derivative Φ(z) + z φ(z), as `nn.activations` computes them."""
    zero, one, w = type(z)(0), type(z)(1), abs(z)
    t = one - type(z)(2 * MILLS_CENTRE) / (w + type(z)(MILLS_CENTRE))
    density = type(z)(DENSITY_AT_0) * exp(type(z)(-0.5) * z * z)
    density = density if w < type(z)(_UNDERFLOW) else zero
    tail = density * ((one - t) * _mills(t))
    h = tail - w * density
    return (z if z > zero else zero) - w * tail, h if z < zero else one - h
