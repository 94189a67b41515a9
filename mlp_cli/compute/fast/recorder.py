"""The writing of a program: the operations of a step, each as a line of numbers.

`Recorder` takes the calls that NumPy's operations would carry out, and writes each down: its code,
the addresses and sizes of its operands. `program.execute` runs the lines. As every buffer is made
once, a program stays good for as long as the arrays live, and holds on to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.compute.fast import opcodes
from mlp_cli.compute.fast.fuse_sgd import Line, descend
from mlp_cli.nn.activations import ACTIVATIONS, Activation
from mlp_cli.nn.buffers import (
    Array,
    Bits,
    Block,
    Drawn,
    Field,
    Flags,
    Norm,
    Numbers,
    Pixels,
    Rows,
    Warp,
)
from mlp_cli.nn.losses import LOSSES, Loss
from mlp_cli.nn.ops import Operations, Rule, dropped, spacing

Counter = NDArray[np.int64]

_ACTIVATIONS = {f: getattr(opcodes, name.upper()) for name, f in ACTIVATIONS.items()}
_LOSSES = {loss: getattr(opcodes, name.upper()) for name, loss in LOSSES.items()}


class Recorder(Operations):
    """Operations that are written down and not done, for one member of a team.

    Parameters
    ----------
    counter
        (1,) int64, 0 at first: how often members of the team came to a meeting.
    size
        The team's members.
    """

    def __init__(self, counter: Counter, size: int) -> None:
        super().__init__(self._meet)
        self._counter, self._size = counter, size
        self._lines: list[Line] = []
        self._arrays: list[Any] = []  # kept alive

    def program(self, itemsize: int) -> tuple[NDArray[np.int64], Numbers]:
        """Return the lines as `execute` takes them, for parameters of so many bytes each."""
        written = descend(self._lines, itemsize)
        lines = np.zeros((len(written), opcodes.OPERANDS), np.int64)
        constants = np.zeros((len(written), opcodes.CONSTANTS))
        for i, (numbers, fractions) in enumerate(written):
            lines[i, : len(numbers)] = numbers
            constants[i, : len(fractions)] = fractions
        return lines, constants

    def _write(self, code: int, *operands: Any, constants: tuple[float, ...] = ()) -> None:
        line = [code]
        for operand in operands:
            if isinstance(operand, np.ndarray):
                self._arrays.append(operand)
                line.append(operand.ctypes.data)
            else:
                line.append(int(operand))
        self._lines.append((line, constants))

    def _meet(self, part: int) -> None:
        if self._size > 1:
            self._write(opcodes.MEET, self._counter, self._size)

    def product(self, left: Array, right: Array, out: Array) -> None:
        """Write a product down."""
        if out.ndim == 1:
            right, out = right[:, np.newaxis], out[:, np.newaxis]
        if not _by_rows(out):
            left, right, out = right.T, left.T, out.T  # (A B)ᵀ = Bᵀ Aᵀ
        factors: list[Any] = []
        for matrix in (left, right):
            factors += [matrix, _leading(matrix)]
        (m, k), n = left.shape, right.shape[1]
        transposed = [not _by_rows(matrix) for matrix in (left, right)]
        assert not all(transposed)  # `network.columns_first` says why
        self._write(opcodes.PRODUCT, *transposed, m, n, k, *factors, out, _leading(out))

    def activate(self, f: Activation, z: Array, b: Array, s: Array) -> None:
        """Write a bias and its activation down."""
        self._write(opcodes.ACTIVATE, _ACTIVATIONS[f], z, b, *z.shape, _stride(z))

    def derive(self, f: Activation, delta: Array, a: Array, s: Array) -> None:
        """Write a derivative down."""
        assert delta.flags.f_contiguous and a.flags.f_contiguous
        self._write(opcodes.DERIVE, _ACTIVATIONS[f], delta, a, delta.size)

    def normalise(self, z: Array, norm: Norm) -> None:
        """Write a normalisation down."""
        assert z.flags.f_contiguous and norm.hat.flags.f_contiguous
        self._write(opcodes.NORMALISE, z, *norm[:5], *z.shape)

    def unnormalise(self, delta: Array, norm: Norm, dgamma: Array, dbeta: Array) -> None:
        """Write a normalisation's derivative down."""
        assert delta.flags.f_contiguous and norm.hat.flags.f_contiguous
        operands = delta, norm.gamma, norm.hat, norm.inverse, dgamma, dbeta
        self._write(opcodes.UNNORMALISE, *operands, *delta.shape)

    def draw(self, mask: Drawn, key: Bits, stream: int, p: float) -> None:
        """Write the filling of a mask down."""
        assert mask.r.flags.c_contiguous and mask.s.flags.c_contiguous
        operands = mask.r, mask.s, key, stream, mask.first
        self._write(opcodes.DRAW, *operands, *mask.r.shape, dropped(p))

    def deviate(self, noise: Drawn, key: Bits, stream: int, deviation: float) -> None:
        """Write noise of activations down."""
        assert noise.r.flags.c_contiguous and noise.s.flags.c_contiguous
        operands = noise.r, noise.s, key, stream, noise.first
        constants = (spacing(deviation),)
        self._write(opcodes.DEVIATE, *operands, *noise.r.shape, constants=constants)

    def noise(self, field: Field, key: Bits, origin: Rows, first: int) -> None:
        """Write noise down."""
        self._write(opcodes.NOISE, field.noise, field.t, key, origin, first, *field.noise.shape)

    def warp(
        self,
        images: Pixels,
        rows: Rows,
        maps: Array,
        field: Array,
        x: Array,
        scale: Array,
        shift: Array,
        s: Warp,
    ) -> None:
        """Write a distortion down."""
        assert all(array.flags.c_contiguous for array in (images, rows, maps, field, x))
        scale, shift = (np.array(np.broadcast_to(each, x.shape[1])) for each in (scale, shift))
        height, _, width = field.shape
        operands = images, rows, maps, field, x, scale, shift, s.padded
        self._write(opcodes.WARP, *operands, len(rows), len(images), height, width)

    def multiply(self, a: Array, r: Array, out: Array) -> None:
        """Write a ⊙ r down."""
        assert _alike(a, r, out)
        self._write(opcodes.MULTIPLY, a, r, out, out.size)

    def add(self, a: Array, r: Array, out: Array) -> None:
        """Write a + r down."""
        assert _alike(a, r, out)
        self._write(opcodes.ADD, a, r, out, out.size)

    def limit(self, W: Array, c: float, s: Array) -> None:
        """Write the limit of a layer's norms down."""
        assert W.flags.c_contiguous
        self._write(opcodes.LIMIT, W, *W.shape, constants=(c,))

    def error(self, loss: Loss, z: Array, y: Array, delta: Array, s: Array) -> None:
        """Write the last layer's error down."""
        if s.shape[1] < 2:  # one class, where the compiled call wants two columns
            s = np.empty((len(s), 2), s.dtype, order="F")
        assert y.flags.c_contiguous and delta.flags.f_contiguous and s.flags.f_contiguous
        self._write(opcodes.ERROR, _LOSSES[loss], z, y, delta, s, *z.shape, _stride(z))

    def count(
        self, loss: Loss, z: Array, y: Array, labels: Pixels, losses: Array, right: Flags, s: Array
    ) -> None:
        """Write the counting of losses and right answers down."""
        assert all(array.flags.c_contiguous for array in (y, labels, losses, right, s))
        operands = z, y, labels, losses, right, s
        self._write(opcodes.COUNT, _LOSSES[loss], *operands, *z.shape, _stride(z))

    def update(self, rule: Rule, block: Block, factors: Numbers) -> None:
        """Write an update down."""
        slots = [*block.slots, block.g, block.g][:2]  # the compiled call takes two, used or not
        self._write(
            opcodes.UPDATE,
            getattr(opcodes, rule.name.upper()),
            *(block.p, block.g, block.p.size, *slots, factors),
            constants=(block.decay, *rule.constants),
        )

    def sum_squares(self, pieces: Sequence[Array], total: Numbers) -> None:
        """Write the sum of the pieces' squares down."""
        for i, g in enumerate(pieces):
            self._write(opcodes.SUM_SQUARES, g, g.size, total, i == 0)

    def clip(self, pieces: Sequence[Array], limit: float, squares: Numbers) -> None:
        """Write clipping down."""
        for g in pieces:
            self._write(opcodes.CLIP, g, g.size, squares, squares.size, constants=(limit,))

    def read(
        self,
        images: Pixels,
        rows: Rows,
        soon: Rows,
        x: Array,
        scale: Array,
        shift: Array,
        s: Pixels,
    ) -> None:
        """Write the reading of images down."""
        N, n = images.shape
        assert all(array.flags.c_contiguous for array in (images, rows, soon, x))
        scale, shift = (np.array(np.broadcast_to(each, n)) for each in (scale, shift))
        sizes = len(rows), n, N, len(soon)
        self._write(opcodes.READ, images, rows, soon, x, scale, shift, *sizes)

    def look_up(
        self, labels: Pixels, rows: Rows, found: Pixels, one_hot: Array, y: Array, s: Rows
    ) -> None:
        """Write the reading of labels down."""
        operands = labels, rows, found, one_hot, y
        assert all(array.flags.c_contiguous for array in operands)
        self._write(opcodes.LOOK_UP, *operands, len(rows), len(one_hot), len(labels))


def _alike(*arrays: Array) -> bool:
    """Whether the arrays' elements lie in one order, without gaps."""
    flags = [array.flags for array in arrays]
    return all(f.c_contiguous for f in flags) or all(f.f_contiguous for f in flags)


def _by_rows(matrix: Array) -> bool:
    return bool(matrix.strides[1] == matrix.itemsize)


def _stride(z: Array) -> int:
    """Return how many elements lie between one neuron's values and the next neuron's."""
    assert z.strides[0] == z.itemsize
    return int(z.strides[1] // z.itemsize)


def _leading(matrix: Array) -> int:
    """Return how many elements lie from one row, or column, to the next."""
    rows, columns = matrix.shape
    if _by_rows(matrix):
        step, least = matrix.strides[0], columns
    else:
        assert matrix.strides[0] == matrix.itemsize
        step, least = matrix.strides[1], rows
    return int(max(step // matrix.itemsize, least))
