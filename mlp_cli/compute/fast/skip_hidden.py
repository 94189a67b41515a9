"""Rewrites programs so that the products of hidden layers skip the zeros of ReLU.

`hidden_layers` says what they compute then. It is worth its while only if W and the slots of its
rule stay in panels from the first line of a program to the last. So a layer is rewritten if nothing
else than these lines touches its W:

    z = a Wᵀ       of the worker that owns the rows of W      `Product`
    δ W            of every worker, for its own neurons       `Product`
    W ← …          of the worker that owns the rows           `Learn` or `Descend`
    its limit      of the worker that owns the rows           `LimitNorms`

That is not so, for example, if gradients are clipped, or if nothing is learned. Each worker reads
the panels of all. The barriers that keep their W apart keep the panels apart too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlp_cli.compute.fast.image_opcodes import (
    ErrorsLit,
    FindColumns,
    FindLit,
    Fold,
    Unfold,
    with_addresses,
)
from mlp_cli.compute.fast.opcodes import Descend, Learn, LimitNorms, Line, Product
from mlp_cli.compute.fast.panels import Lit, PanelMemory, Panels, updated
from mlp_cli.compute.fast.tiling import BYTES, EXAMPLES, WORD, aligned_zeros, skips_hidden_zeros
from mlp_cli.nn.buffers import Array

Outputs = Mapping[int, tuple[int, int]]  # the shapes (K, n) of what ReLU leaves, by their addresses


class _Layer:
    """A W in the panels of all its workers."""

    def __init__(self, workers: Sequence[Panels]) -> None:
        self.workers = workers
        self.start = workers[0].W
        self.stop = self.start + sum(each.m * each.n for each in workers) * BYTES

    def holds(self, operand: int) -> bool:
        """Return whether an operand is an address in W."""
        return self.start <= operand < self.stop


class _Found(NamedTuple):
    """What a worker finds of an output (K, n) of ReLU, and room for δ W of its own neurons.

    Each worker finds all of it for itself. That takes some hundredths of a product, and no barrier.
    """

    inputs: Lit
    errors: Array

    @classmethod
    def of(cls, K: int, n: int) -> _Found:
        """Return the arrays for K examples and n neurons."""
        inputs = Lit(
            lit=aligned_zeros(K, n),
            masks=np.zeros((K, -(-n // WORD)), np.uint64),
            columns=np.zeros((-(-K // EXAMPLES), n), np.uint32),
            background=np.zeros(n, np.float32),
        )
        return cls(inputs, aligned_zeros(K, n))


def skip_hidden_zeros(
    programs: Sequence[Sequence[Line]], outputs: Outputs, memory: PanelMemory
) -> tuple[list[list[Line]], list[Array]]:
    """Return the programs of all workers without the zeros of hidden layers, and their buffers."""
    layers = [
        layer for layer in _layers(programs, outputs, memory) if _is_apart(layer, programs, outputs)
    ]
    rewriters = [_Rewriter(worker, layers, outputs) for worker in range(len(programs))]
    lines = [each.rewrite(of) for each, of in zip(rewriters, programs, strict=True)]
    buffers = [array for each in rewriters for found in each.found.values()
               for array in (*found.inputs, found.errors)]  # fmt: skip
    return lines, buffers


def _layers(
    programs: Sequence[Sequence[Line]], outputs: Outputs, memory: PanelMemory
) -> list[_Layer]:
    """Return the layers with inputs from ReLU that are large enough to skip zeros."""
    found: list[dict[int, Product]] = []
    for lines in programs:
        forward = [line.operation for line in lines if _is_forward(line.operation, outputs)]
        found.append({product.left: product for product in reversed(forward)})
    if len({len(each) for each in found}) > 1:  # a worker has no neuron of a layer
        return []
    layers = []
    for products in zip(*(sorted(each.items()) for each in found), strict=True):
        owned = [product for _, product in products]
        K, n = max(outputs[product.right] for product in owned)
        ends = [product.left + product.m * n * BYTES for product in owned]
        are_rows = all(product.left == end for product, end in zip(owned[1:], ends, strict=False))
        if are_rows and skips_hidden_zeros(K, min(product.m for product in owned), n):
            layers.append(_Layer([Panels(product.left, product.m, n, memory) for product in owned]))
    return layers


def _is_apart(layer: _Layer, programs: Sequence[Sequence[Line]], outputs: Outputs) -> bool:
    """Return whether all lines that touch W are of the four kinds, and some update it."""
    for own, lines in zip(layer.workers, programs, strict=True):
        for operation, _ in lines:
            if not any(map(layer.holds, operation)):
                continue
            if isinstance(operation, LimitNorms):
                if operation.W != own.W:
                    return False
            elif _is_update(operation, outputs):
                if (updated(operation), operation.m) != (own.W, own.m):
                    return False
                own.keep(operation)
            elif _is_forward(operation, outputs):
                if (operation.left, operation.m) != (own.W, own.m):
                    return False
            elif not _is_backward(operation):
                return False
    return all(own.kept for own in layer.workers)


def _weights(operation: Any) -> int:
    """Return the address of the W that a line of one of the four kinds touches, 0 of another."""
    if isinstance(operation, LimitNorms):
        return int(operation.W)
    if isinstance(operation, Learn | Descend):
        return updated(operation)
    return int(operation.left) if isinstance(operation, Product) else 0


def _is_forward(operation: Any, outputs: Outputs) -> bool:
    """Return whether an operation is z = a Wᵀ, neuron by neuron, for a that ReLU leaves."""
    return (
        isinstance(operation, Product)
        and outputs.get(operation.right) == (operation.n, operation.k)
        and not operation.left_transposed
        and not operation.right_transposed
    )


def _is_backward(operation: Any) -> bool:
    """Return whether an operation is δ W, neuron by neuron."""
    return isinstance(operation, Product) and bool(operation.left_transposed)


def _is_update(operation: Any, outputs: Outputs) -> bool:
    """Return whether an operation updates a W with δᵀ a, for a that ReLU leaves."""
    return (
        isinstance(operation, Learn | Descend)
        and outputs.get(operation.right) == (operation.k, operation.n)
        and not operation.left_transposed
    )


class _Rewriter:
    """Rewrites the program of a worker.

    Attributes
    ----------
    found
        What it finds of the outputs of ReLU, by their addresses.
    """

    def __init__(self, worker: int, layers: Sequence[_Layer], outputs: Outputs) -> None:
        self._worker, self._layers, self._outputs = worker, layers, outputs
        self._inputs: dict[_Layer, int] = {}  # the address of each layer's a in this step
        self.found: dict[int, _Found] = {}

    def rewrite(self, lines: Sequence[Line]) -> list[Line]:
        """Return the lines with products that skip zeros."""
        own = [layer.workers[self._worker] for layer in self._layers]
        rewritten = [line for each in own for line in each.convert(Fold, each.kept)]
        for line in lines:
            W = _weights(line.operation)
            layer = next((layer for layer in self._layers if layer.holds(W)), None)
            rewritten += [line] if layer is None else self._rewritten(line, layer)
        return rewritten + [line for each in own for line in each.convert(Unfold, each.kept)]

    def _rewritten(self, line: Line, layer: _Layer) -> list[Line]:
        """Return the lines in place of one that touches the W of a layer."""
        own, operation = layer.workers[self._worker], line.operation
        if isinstance(operation, LimitNorms):
            return [*own.convert(Unfold, [0]), line, *own.convert(Fold, [0])]
        if isinstance(operation, Learn | Descend):
            return own.learn(operation, line.constants, self.found[operation.right].inputs)
        if _is_backward(operation):
            return self._backward(operation, layer)
        assert operation.right_leading == operation.n  # `_find` takes a as it lies, without gaps
        self._inputs[layer] = operation.right
        find = self._find(operation.right)
        return [*find, *own.forward(operation, self.found[operation.right].inputs)]

    def _find(self, a: int) -> list[Line]:
        """Return the lines that find which neurons of an output are lit."""
        K, n = self._outputs[a]
        if a not in self.found:
            self.found[a] = _Found.of(K, n)
        lit, masks, columns, background = self.found[a].inputs
        operations = (
            Fold(a, K, n, n, lit),  # from the K values of each neuron to the n of each example
            FindLit(lit, background, lit, masks, K, n),
            FindColumns(lit, columns, K, n, 0, n),
        )
        return [Line(with_addresses(each)) for each in operations]

    def _backward(self, product: Product, layer: _Layer) -> list[Line]:
        """Return the lines for δ W, of the neurons that this worker owns below."""
        found, (K, n) = self.found[self._inputs[layer]], self._outputs[self._inputs[layer]]
        assert product.out_leading == product.n == K
        start = (product.left - layer.start) // BYTES
        own, row = product.m, 0
        lines: list[Line] = []
        for each in layer.workers:
            for first, m, width, memory in each.panels:
                delta = product.right + (row + first) * product.right_leading * BYTES
                sizes = found.inputs.masks, K, n, start, start + own, delta, m, width, memory
                errors = ErrorsLit(*sizes, found.errors, not lines, K * width)
                lines.append(Line(with_addresses(errors)))
            row += each.m
        turn = Unfold(product.out, K, own, own, found.errors)
        return [*lines, Line(with_addresses(turn))]
