"""The instruction set of a program: each operation, with its operands by name.

A line of a program is the code of an operation, its operands as whole numbers (addresses in memory,
sizes, the code of a function), and a few constants as fractions. The recorder packs operands by
these names, `fuse_updates` and `skip_zeros` rewrite them, and the interpreter unpacks them. Sizes
count elements.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mlp_cli.compute.fast.decoder_opcodes import (
    AddBias,
    Combine,
    CombineBackward,
    Difference,
    Transpose,
)
from mlp_cli.compute.fast.image_opcodes import (
    DrawField,
    ErrorsLit,
    FindColumns,
    FindLit,
    Fold,
    ForwardLit,
    GradientLit,
    LearnLit,
    LookUp,
    MakeView,
    Operand,
    ReadImages,
    ResampleImages,
    Unfold,
)
from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.losses import LOSSES


class Product(NamedTuple):
    """out (m, n) = left (m, k) right (k, n), all by rows unless they are marked as transposed.

    `room` is memory for `products.multiply`, or 0 if BLAS multiplies.
    """

    left_transposed: Operand
    right_transposed: Operand
    m: Operand
    n: Operand
    k: Operand
    left: Operand
    left_leading: Operand
    right: Operand
    right_leading: Operand
    out: Operand
    out_leading: Operand
    room: Operand = 0


class Descend(NamedTuple):
    """out ← (1 − η λ) out − η left right, η the first of `factors`; constant: λ."""

    left_transposed: Operand
    right_transposed: Operand
    m: Operand
    n: Operand
    k: Operand
    left: Operand
    left_leading: Operand
    right: Operand
    right_leading: Operand
    out: Operand
    out_leading: Operand
    room: Operand
    factors: Operand


class Learn(NamedTuple):
    """Update p (m, n) with the gradient left right, row by row; `out` (m, n) is scratch.

    Constants: those of `Update`.
    """

    left_transposed: Operand
    right_transposed: Operand
    m: Operand
    n: Operand
    k: Operand
    left: Operand
    left_leading: Operand
    right: Operand
    right_leading: Operand
    out: Operand
    out_leading: Operand
    room: Operand
    rule: Operand
    p: Operand
    first_slot: Operand
    second_slot: Operand
    factors: Operand


class Activate(NamedTuple):
    """z (K, m) ← f(z + b), and `kept`; `stride` from a neuron's values to those of the next.

    Constant: that of the activation.
    """

    f: Operand
    z: Operand
    b: Operand
    kept: Operand
    K: Operand
    m: Operand
    stride: Operand


class MultiplyByDerivative(NamedTuple):
    """delta ← delta ⊙ f′(z), from a; constant: that of the activation."""

    f: Operand
    delta: Operand
    a: Operand
    size: Operand


class OutputDelta(NamedTuple):
    """delta (K, c) of the last layer, from z (K, c) and y (K, c); s (K, 2) is scratch."""

    loss: Operand
    z: Operand
    y: Operand
    delta: Operand
    s: Operand
    K: Operand
    c: Operand
    stride: Operand


class CountCorrect(NamedTuple):
    """The losses (n,) of z (n, c), and whether the largest z is at the label."""

    loss: Operand
    z: Operand
    y: Operand
    labels: Operand
    losses: Operand
    right: Operand
    most: Operand
    n: Operand
    c: Operand
    stride: Operand


class Barrier(NamedTuple):
    """Wait until each of `workers` threads has come.

    All of them share `counter` (BARRIER_WORDS,): how often workers came, how many sleep, and the
    waits since long looking was in vain.
    """

    counter: Operand
    workers: Operand


class SumSquares(NamedTuple):
    """total (1,) ← Σ g², or adds to it unless this is the first piece."""

    g: Operand
    size: Operand
    total: Operand
    is_first: Operand


class Clip(NamedTuple):
    """Scale g down if the root of Σ `squares` (parts,) is above the limit, the constant."""

    g: Operand
    size: Operand
    squares: Operand
    parts: Operand


class Update(NamedTuple):
    """Update p with g and two slots, used or not; constants: λ, and those of the rule."""

    rule: Operand
    p: Operand
    g: Operand
    size: Operand
    first_slot: Operand
    second_slot: Operand
    factors: Operand


class Normalise(NamedTuple):
    """z (K, m) ← γ ẑ, and the running statistics (m,)."""

    z: Operand
    gamma: Operand
    running_mean: Operand
    running_variance: Operand
    hat: Operand
    inverse: Operand
    K: Operand
    m: Operand


class NormaliseBackward(NamedTuple):
    """delta (K, m) ← ∂C/∂z from ∂C/∂(γ ẑ + β); dgamma and dbeta (m,)."""

    delta: Operand
    gamma: Operand
    hat: Operand
    inverse: Operand
    dgamma: Operand
    dbeta: Operand
    K: Operand
    m: Operand


class DropoutMask(NamedTuple):
    """Fill r (lines, width), the first of its lines with this number, by 16 random bits each."""

    r: Operand
    bits: Operand
    key: Operand
    stream: Operand
    first: Operand
    lines: Operand
    width: Operand
    threshold: Operand


class DrawNoise(NamedTuple):
    """Fill r (lines, width) with uniform noise; constant: half the distance of its values."""

    r: Operand
    bits: Operand
    key: Operand
    stream: Operand
    first: Operand
    lines: Operand
    width: Operand


class Multiply(NamedTuple):
    """out ← a ⊙ r."""

    a: Operand
    r: Operand
    out: Operand
    size: Operand


class Add(NamedTuple):
    """out ← a + r."""

    a: Operand
    r: Operand
    out: Operand
    size: Operand


class LimitNorms(NamedTuple):
    """Scale each row of W (m, n) down to a norm; constant: the norm."""

    W: Operand
    m: Operand
    n: Operand


# The code of an operation is its place here.
OPERATIONS: tuple[type[Any], ...] = (
    Product, Descend, Learn, Activate, MultiplyByDerivative, OutputDelta, CountCorrect, ReadImages,
    LookUp, Barrier, SumSquares, Clip, Update, Normalise, NormaliseBackward, DropoutMask, DrawNoise,
    Multiply, Add, LimitNorms, DrawField, ResampleImages, FindLit, FindColumns, Fold, Unfold,
    ForwardLit, GradientLit, LearnLit, Transpose, AddBias, Difference, Combine, CombineBackward,
    MakeView, ErrorsLit,
)  # fmt: skip
BARRIER_WORDS, IN_VAIN = 3, 2  # and which of them counts the waits since long looking was in vain
OPERANDS = 1 + max(len(operation._fields) for operation in OPERATIONS)  # with the code
CONSTANTS = 4


class Line(NamedTuple):
    """One line of a program: an operation with whole numbers as operands, and its constants."""

    operation: Any
    constants: tuple[float, ...] = ()


# The code of a function is its place in the registry; that of a rule is its place here.
ACTIVATION_CODES = {name: code for code, name in enumerate(ACTIVATIONS)}
LOSS_CODES = {loss: code for code, loss in enumerate(LOSSES.values())}
CROSS_ENTROPY = list(LOSSES).index("cross_entropy")
RULES = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW = range(len(RULES))
