"""The operations of a decoder, as NumPy does them. `decoder` explains them and their notation.

Shapes: K examples, n neurons that are reconstructed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlp_cli.nn.activations import sigmoid
from mlp_cli.nn.buffers import Array

# a₁ … a₁₀ of a neuron at first (Rasmus et al., 2015): q is then 0, whatever t and u are.
INITIAL = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
CONSTANTS = len(INITIAL)
HALF = CONSTANTS // 2  # those of μ; the others are those of v


class Combinator(NamedTuple):
    """What reconstructs n neurons: A (n, `CONSTANTS`), t, u and q (K, n), and scratch of (K, n)."""

    A: Array
    t: Array
    u: Array
    q: Array
    scratch: tuple[Array, ...]

    @classmethod
    def of(cls, A: Array, t: Array, u: Array, q: Array) -> Combinator:
        """Return it with scratch."""
        return cls(A, t, u, q, tuple(np.empty_like(u) for _ in range(5)))


class DecoderOps:
    """What a decoder does besides products, sums and normalisation."""

    def transpose(self, x: Array, out: Array) -> None:
        """Copy x (K, n), whose rows lie in one piece, to `out` (K, n), whose columns do."""
        np.copyto(out, x)

    def add_bias(self, z: Array, b: Array, out: Array) -> None:
        """Write z (K, n) + b (n,) to `out` (K, n)."""
        np.add(z, b, out=out)

    def difference(self, q: Array, x: Array, factor: float, out: Array) -> None:
        """Write q − x, times a factor, to `out`, all (K, n)."""
        np.subtract(q, x, out=out)
        np.multiply(out, factor, out=out)

    def combine(self, of: Combinator) -> None:
        """Write q = (t − μ) v + μ."""
        A, t, u, q, (mean, v, sigma, *_, s) = of
        _curve(A[:, :HALF], u, sigma, mean, s)
        _curve(A[:, HALF:], u, sigma, v, s)
        np.subtract(t, mean, out=q)
        np.multiply(q, v, out=q)
        np.add(q, mean, out=q)

    def combine_backward(self, of: Combinator, delta: Array, delta_u: Array, dA: Array) -> None:
        """Turn delta (K, n) = ∂C/∂q into ∂C/∂t, and write ∂C/∂u (K, n) and ∂C/∂A.

        ∂C/∂t = δ v, ∂C/∂μ = δ (1 − v) and ∂C/∂v = δ (t − μ).
        """
        A, t, u, _, (mean, v, of_mean, of_v, s) = of
        _curve(A[:, :HALF], u, of_mean, mean, s)
        _curve(A[:, HALF:], u, of_v, v, s)
        np.subtract(t, mean, out=mean)
        np.multiply(delta, mean, out=mean)  # ∂C/∂v
        np.multiply(delta, v, out=v)  # ∂C/∂t
        np.subtract(delta, v, out=delta)  # ∂C/∂μ
        _curve_backward(A[:, :HALF], u, of_mean, delta, dA[:, :HALF], delta_u, s)
        np.copyto(delta, v)
        _curve_backward(A[:, HALF:], u, of_v, mean, dA[:, HALF:], v, s)
        np.add(delta_u, v, out=delta_u)


def _curve(a: Array, u: Array, sigma: Array, out: Array, s: Array) -> None:
    """Write a₁ σ(a₂ u + a₃) + a₄ u + a₅ to `out`, and σ to `sigma`, for a (n, `HALF`)."""
    np.multiply(u, a[:, 1], out=sigma)
    np.add(sigma, a[:, 2], out=sigma)
    sigmoid(sigma, s)
    np.multiply(u, a[:, 3], out=out)
    np.add(out, a[:, 4], out=out)
    np.multiply(sigma, a[:, 0], out=s)
    np.add(out, s, out=out)


def _curve_backward(
    a: Array, u: Array, sigma: Array, error: Array, da: Array, delta_u: Array, s: Array
) -> None:
    """Write the derivatives by a and u, from that by the curve, `error`; `sigma` is used up."""
    np.einsum("kj,kj->j", error, sigma, out=da[:, 0])
    np.einsum("kj,kj->j", error, u, out=da[:, 3])
    np.sum(error, axis=0, out=da[:, 4])
    np.subtract(1, sigma, out=s)
    np.multiply(sigma, s, out=s)
    np.multiply(s, a[:, 0], out=s)
    np.multiply(s, error, out=s)  # ∂C/∂(a₂ u + a₃)
    np.einsum("kj,kj->j", s, u, out=da[:, 1])
    np.sum(s, axis=0, out=da[:, 2])
    np.multiply(s, a[:, 1], out=s)
    np.multiply(error, a[:, 3], out=delta_u)
    np.add(delta_u, s, out=delta_u)
