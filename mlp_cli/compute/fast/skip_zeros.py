"""Rewrites a program so that the products of its first layer skip the zeros of the inputs.

The lines that multiply by the inputs become those of `first_layer`. If the lines of a step update W
straight from its product, then W and the slots of its rule stay in panels from the first line of
the program to the last. Otherwise W is folded into panels before each product that reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlp_cli.compute.fast.image_opcodes import (
    FindColumns,
    FindLit,
    Fold,
    Unfold,
    with_addresses,
)
from mlp_cli.compute.fast.opcodes import Barrier, Descend, Learn, LimitNorms, Line, Product
from mlp_cli.compute.fast.panels import Lit, PanelMemory, Panels, gradient, updated
from mlp_cli.compute.fast.tiling import EXAMPLES, WORD, skips_zeros
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.network import rows_of


class Inputs:
    """A buffer of inputs x (K, n), and what is found of it in a step. All workers share it.

    Attributes
    ----------
    x, background
        (K, n) and (n,): the inputs, and what they are if a pixel is black.
    lit
        (K, n) x − x̄, which is x itself if black is 0.
    masks, columns
        The bits of `find_lit` and of `find_columns`.
    density
        The share of the pixels that are not black.
    neurons
        The fewest neurons for which a worker multiplies them. All workers must decide alike,
        because each of them finds some of the lit pixels.
    """

    def __init__(self, x: Array, background: Array, density: float) -> None:
        K, n = x.shape
        self.x, self.background, self.density = x, background, density
        self.neurons = sys.maxsize
        self.lit = np.zeros_like(x) if background.any() else x
        self.masks = np.zeros((K, -(-n // WORD)), np.uint64)
        self.columns = np.zeros((-(-K // EXAMPLES), n), np.uint32)

    @property
    def found(self) -> Lit:
        """What is found of it in a step."""
        return Lit(self.lit, self.masks, self.columns, self.background)


class Rewriter:
    """Rewrites the program of a worker.

    Parameters
    ----------
    worker, workers
        Its number, and how many there are.
    inputs
        The inputs that may be black, by the addresses of their buffers.
    memory
        The memory of panels.
    """

    def __init__(
        self, worker: int, workers: int, inputs: Mapping[int, Inputs], memory: PanelMemory
    ) -> None:
        self._worker, self._workers, self._inputs, self._memory = worker, workers, inputs, memory
        self._weights: dict[int, Panels] = {}  # by their addresses
        self._lines: list[Line] = []  # that are rewritten

    def rewrite(self, lines: Sequence[Line]) -> list[Line]:
        """Return the lines with products that skip zeros."""
        for operation, _ in lines:
            if self._is_forward(operation):
                if operation.left not in self._weights:
                    panels = Panels(operation.left, operation.m, operation.k, self._memory)
                    self._weights[operation.left] = panels
            elif isinstance(operation, Learn | Descend) and self._is_gradient(operation):
                self._keep(operation)
        kept = [each for each in self._weights.values() if each.kept]
        for each in kept:
            self._lines += each.convert(Fold, each.kept)
        for line in lines:
            self._lines += self._rewritten(line)
        for each in kept:
            self._lines += each.convert(Unfold, each.kept)
        return self._lines

    def _is_forward(self, operation: Any) -> bool:
        """Return whether an operation is z = x Wᵀ, and faster without zeros."""
        if not isinstance(operation, Product) or operation.right not in self._inputs:
            return False
        inputs = self._inputs[operation.right]
        is_forward = operation.right_transposed and not operation.left_transposed
        # The buffer's rows, not those of this step: a last, short minibatch is computed as all are.
        K, n = inputs.x.shape
        return is_forward and skips_zeros(K, inputs.neurons, n, inputs.density)

    def _is_gradient(self, operation: Any) -> bool:
        """Return whether an operation is ΔW = δᵀ x, for a W that is in panels."""
        if not isinstance(operation, Product | Learn | Descend) or not self._weights:
            return False
        return operation.right in self._inputs and not operation.right_transposed

    def _keep(self, operation: Learn | Descend) -> None:
        """Keep in panels what an operation updates, unless others update some of it."""
        weights = self._weights.get(updated(operation))
        if weights is not None and weights.m == operation.m:
            weights.keep(operation)

    def _rewritten(self, line: Line) -> list[Line]:
        operation = line.operation
        if self._is_forward(operation):
            weights = self._weights[operation.left]
            fold = [] if weights.kept else weights.convert(Fold, [0])
            found = self._inputs[operation.right].found
            return [*fold, *self._find(operation), *weights.forward(operation, found)]
        if self._is_gradient(operation):
            found = self._inputs[operation.right].found
            if isinstance(operation, Product):
                return gradient(operation, found)
            if self._is_kept(updated(operation)):
                return self._weights[updated(operation)].learn(operation, line.constants, found)
        if isinstance(operation, LimitNorms) and self._is_kept(operation.W):
            limited = self._weights[operation.W]
            return [*limited.convert(Unfold, [0]), line, *limited.convert(Fold, [0])]
        return [line]

    def _is_kept(self, W: int) -> bool:
        return W in self._weights and bool(self._weights[W].kept)

    def _find(self, forward: Product) -> list[Line]:
        """Return the line that finds in which images each pixel is lit.

        Before the last barrier, at which the inputs are ready, each worker finds which pixels of
        its own images are lit.
        """
        inputs, n = self._inputs[forward.right], forward.k
        own = rows_of(self._worker, self._workers, forward.n)  # as `data.batches` reads them
        operands = inputs.x[own], inputs.background, inputs.lit[own], inputs.masks[own]
        find = FindLit(*operands, own.stop - own.start, n)
        end = len(self._lines)
        backwards = reversed(range(end))
        barriers = (i for i in backwards if isinstance(self._lines[i].operation, Barrier))
        self._lines.insert(next(barriers, end), Line(with_addresses(find)))
        pixels = rows_of(self._worker, self._workers, n)
        columns = FindColumns(inputs.lit, inputs.columns, forward.n, n, pixels.start, pixels.stop)
        return [Line(with_addresses(columns))]
