"""The rows of a W in panels, and the lines of a program that compute with them without zeros.

`first_layer` says what a panel is. The inputs of such a layer are pixels, or the neurons of the
layer below; those that are not 0 are lit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mlp_cli.compute.fast.image_opcodes import (
    Fold,
    ForwardLit,
    GradientLit,
    LearnLit,
    Operand,
    Unfold,
    with_addresses,
)
from mlp_cli.compute.fast.opcodes import SGD, Descend, Learn, Line, Product
from mlp_cli.compute.fast.tiling import BYTES, INPUTS, aligned_zeros, panels_of
from mlp_cli.nn.buffers import Array


class Lit(NamedTuple):
    """Inputs (K, n) of a layer minus x̄ (n,), and the bits of `find_lit` and of `find_columns`."""

    lit: Operand
    masks: Operand
    columns: Operand
    background: Operand


# The memory of panels by the address of W, m and n. Programs run one after the other, and each one
# that keeps W in panels folds it at its start, so all of them may have the same memory.
PanelMemory = dict[tuple[int, int, int], list[Array]]


class Panels:
    """The rows (m, n) of a W that a worker owns, and their panels.

    Attributes
    ----------
    W, m, n
        Their address, and how many they are.
    kept
        How far W itself and the slots of its rule lie from W, in bytes, if they stay in panels.
    """

    def __init__(self, W: int, m: int, n: int, memory: PanelMemory) -> None:
        self.W, self.m, self.n = W, m, n
        self.kept: list[int] = []
        self._memory = memory

    @property
    def panels(self) -> list[tuple[int, int, int, Array]]:
        """For each: its first neuron, its neurons, its width, and its memory.

        That is (3, n, width), for W and two slots. It is made when it is first needed.
        """
        shapes, key = [*panels_of(self.m)], (self.W, self.m, self.n)
        if key not in self._memory:
            self._memory[key] = [aligned_zeros(3, self.n, width) for _, _, width in shapes]
        return [(*shape, each) for shape, each in zip(shapes, self._memory[key], strict=True)]

    def keep(self, operation: Learn | Descend) -> None:
        """Keep in panels what an operation updates."""
        slots = (
            (operation.first_slot, operation.second_slot) if isinstance(operation, Learn) else ()
        )
        self.kept = [0, *dict.fromkeys(slot - self.W for slot in slots)]

    def convert(self, kind: type[Fold | Unfold], distances: Sequence[int]) -> list[Line]:
        """Return the lines that convert what lies at these distances from W."""
        return [
            Line(kind(at, self.n, m, width, memory[i].ctypes.data))
            for first, m, width, memory in self.panels
            for i, at in enumerate(
                self.W + distance + first * self.n * memory.itemsize for distance in distances
            )
        ]

    def forward(self, product: Product, inputs: Lit) -> list[Line]:
        """Return the lines for z = a Wᵀ, a product that computes it for each neuron in turn."""
        lines = []
        for first, m, width, memory in self.panels:
            z = product.out + first * product.out_leading * BYTES
            sizes = product.n, product.k, memory, m, width, z, product.out_leading
            forward = ForwardLit(
                inputs.lit, inputs.masks, inputs.background, *sizes, product.n * width
            )
            lines.append(Line(with_addresses(forward)))
        return lines

    def learn(
        self, operation: Learn | Descend, constants: tuple[float, ...], inputs: Lit
    ) -> list[Line]:
        """Return the lines for an update with ΔW = δᵀ a."""
        rule = operation.rule if isinstance(operation, Learn) else SGD
        K, n, lines = operation.k, operation.n, []
        for first, m, width, memory in self.panels:
            delta = operation.left + first * operation.left_leading * BYTES
            operands = inputs.lit, inputs.columns, inputs.background, K, n, delta, m, width
            updated = rule, memory[0], memory[1], memory[2], operation.factors
            learn = LearnLit(*operands, *updated, (1 + K + INPUTS) * width)
            lines.append(Line(with_addresses(learn), constants))
        return lines


def gradient(product: Product, inputs: Lit) -> list[Line]:
    """Return the lines for ΔW = δᵀ a."""
    K, n, lines = product.k, product.n, []
    for first, m, width in panels_of(product.m):
        delta = product.left + first * product.left_leading * BYTES
        out = product.out + first * n * BYTES
        operands = inputs.lit, inputs.columns, inputs.background, K, n, delta, m, width
        made = GradientLit(*operands, out, (1 + K + n) * width)
        lines.append(Line(with_addresses(made)))
    return lines


def updated(operation: Learn | Descend) -> int:
    """Return the address of the weights that an operation updates."""
    return int(operation.p if isinstance(operation, Learn) else operation.out)
