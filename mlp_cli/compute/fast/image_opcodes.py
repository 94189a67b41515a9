"""The operations of a program on images: their reading, and the first layer without zeros.

`opcodes` has the other operations, and says what a line of a program is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Operand = Any  # an array when an operation is recorded, then its address; or a whole number


def with_addresses(operation: Any) -> Any:
    """Return an operation with the addresses of its arrays."""
    return type(operation)(
        *(each.ctypes.data if isinstance(each, np.ndarray) else int(each) for each in operation)
    )


class ReadImages(NamedTuple):
    """x (count, inputs) from rows of `images` (total, inputs)."""

    images: Operand
    rows: Operand
    prefetch_rows: Operand
    x: Operand
    scale: Operand
    shift: Operand
    count: Operand
    inputs: Operand
    total: Operand
    prefetch_count: Operand


class LookUp(NamedTuple):
    """found (count,) and y (count, c) from rows of `labels` (total,)."""

    labels: Operand
    rows: Operand
    found: Operand
    one_hot: Operand
    y: Operand
    count: Operand
    c: Operand
    total: Operand


class DrawField(NamedTuple):
    """Fill noise (height, two_k, width) for the images from number `origin` + `first` on."""

    noise: Operand
    bits: Operand
    key: Operand
    origin: Operand
    first: Operand
    height: Operand
    two_k: Operand
    width: Operand


class ResampleImages(NamedTuple):
    """x (count, height · width) from rows of `images`, by maps (count, 8) and a field."""

    images: Operand
    rows: Operand
    maps: Operand
    field: Operand
    x: Operand
    scale: Operand
    shift: Operand
    padded: Operand
    count: Operand
    total: Operand
    height: Operand
    width: Operand


class MakeView(NamedTuple):
    """x (count, height · width), rows `stride` apart, from source (count, height · width).

    Constants: height and width of the box, 0 if it is not scaled, and `edges` of a view.
    """

    source: Operand
    x: Operand
    scale: Operand
    shift: Operand
    padded: Operand
    planes: Operand
    lines: Operand
    count: Operand
    height: Operand
    width: Operand
    stride: Operand
    is_upright: Operand


class FindLit(NamedTuple):
    """lit (K, n) ← x − background, and masks of what is not 0 in it."""

    x: Operand
    background: Operand
    lit: Operand
    masks: Operand
    K: Operand
    n: Operand


class FindColumns(NamedTuple):
    """Which of K images are lit in the pixels from `start` to `stop`."""

    lit: Operand
    columns: Operand
    K: Operand
    n: Operand
    start: Operand
    stop: Operand


class Fold(NamedTuple):
    """panel (n, width) ← W (m, n)."""

    W: Operand
    n: Operand
    m: Operand
    width: Operand
    panel: Operand


class Unfold(NamedTuple):
    """W (m, n) ← panel (n, width)."""

    W: Operand
    n: Operand
    m: Operand
    width: Operand
    panel: Operand


class ForwardLit(NamedTuple):
    """z (K, m) = x Wᵀ, from the lit pixels; `stride` as in `Activate`."""

    lit: Operand
    masks: Operand
    background: Operand
    K: Operand
    n: Operand
    panel: Operand
    m: Operand
    width: Operand
    z: Operand
    stride: Operand
    room: Operand


class GradientLit(NamedTuple):
    """out (m, n) = δᵀ x, from the lit pixels."""

    lit: Operand
    columns: Operand
    background: Operand
    K: Operand
    n: Operand
    delta: Operand
    m: Operand
    width: Operand
    out: Operand
    room: Operand


class LearnLit(NamedTuple):
    """Update a panel with δᵀ x, from the lit pixels; constants: those of `Update`."""

    lit: Operand
    columns: Operand
    background: Operand
    K: Operand
    n: Operand
    delta: Operand
    m: Operand
    width: Operand
    rule: Operand
    panel: Operand
    first_slot: Operand
    second_slot: Operand
    factors: Operand
    room: Operand


class ErrorsLit(NamedTuple):
    """Add the share of a panel of W to δ W, for the lit neurons from `start` to `stop` of n.

    delta is that of the panel's m neurons. `out` (K, stop − start) is 0 before, or if `is_first`.
    """

    masks: Operand
    K: Operand
    n: Operand
    start: Operand
    stop: Operand
    delta: Operand
    m: Operand
    width: Operand
    panel: Operand
    out: Operand
    is_first: Operand
    room: Operand
