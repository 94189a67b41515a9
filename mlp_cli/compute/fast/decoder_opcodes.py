"""The operations of a program for a decoder (`nn.decoder`).

`opcodes` has the other operations, and says what a line of a program is.
"""

from __future__ import annotations

from typing import NamedTuple

from mlp_cli.compute.fast.image_opcodes import Operand


class Transpose(NamedTuple):
    """out (n, K) ← xᵀ, for x (K, n); `leading` from one row to the next."""

    x: Operand
    x_leading: Operand
    out: Operand
    out_leading: Operand
    K: Operand
    n: Operand


class AddBias(NamedTuple):
    """out (K, n) ← z + b."""

    z: Operand
    b: Operand
    out: Operand
    K: Operand
    n: Operand


class Difference(NamedTuple):
    """out ← q − x, times the constant."""

    q: Operand
    x: Operand
    out: Operand
    size: Operand


class Combine(NamedTuple):
    """q (K, n) ← (t − μ(u)) v(u) + μ(u), with A (n, 10)."""

    A: Operand
    t: Operand
    u: Operand
    q: Operand
    K: Operand
    n: Operand


class CombineBackward(NamedTuple):
    """delta (K, n) ← ∂C/∂t from ∂C/∂q, delta_u and dA; s (4, K) is scratch."""

    A: Operand
    t: Operand
    u: Operand
    delta: Operand
    delta_u: Operand
    dA: Operand
    s: Operand
    K: Operand
    n: Operand
