"""Records a program: the operations of a step, each as a line of numbers.

`Recorder` takes the calls that NumPy's operations would carry out, and writes each one down: its
code, and the addresses and sizes of its operands. `interpreter.execute` runs the lines. Every
buffer is made once, so a program stays valid as long as the arrays live. It keeps them alive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlp_cli.compute.fast import opcodes
from mlp_cli.compute.fast.blas import LARGE, MKL
from mlp_cli.compute.fast.decoder_recorder import DecoderRecorder, alike
from mlp_cli.compute.fast.image_recorder import ImageRecorder
from mlp_cli.compute.fast.opcodes import ACTIVATION_CODES, LOSS_CODES, RULES
from mlp_cli.compute.fast.skip_zeros import Inputs
from mlp_cli.compute.fast.tiling import room_for, suits
from mlp_cli.nn.activations import Activation
from mlp_cli.nn.buffers import (
    Array,
    Bits,
    Block,
    Flags,
    Norm,
    Numbers,
    Pixels,
    RandomBuffer,
)
from mlp_cli.nn.losses import Loss
from mlp_cli.nn.ops import Ops, Rule
from mlp_cli.nn.splitmix import dropout_threshold, noise_spacing

Counter = NDArray[np.int64]


class Shared:
    """What the workers of a program note of the buffers that they share, by their addresses.

    Attributes
    ----------
    inputs
        The inputs.
    after_relu
        Where ReLU leaves zeros, also after dropout.
    outputs
        The shapes (K, n) of those that a product reads.
    """

    def __init__(self) -> None:
        self.inputs: dict[int, Inputs] = {}
        self.after_relu: set[int] = set()
        self.outputs: dict[int, tuple[int, int]] = {}


class Recorder(ImageRecorder, DecoderRecorder, Ops):
    """Operations that are recorded and not done, for one worker.

    Parameters
    ----------
    counter
        (BARRIER_WORDS,) int64, 0 at first: what the workers tell each other at a barrier.
    workers, worker
        The number of workers, and that of this one.
    shared
        What all workers note of their buffers.
    """

    def __init__(
        self,
        counter: Counter,
        workers: int,
        worker: int = 0,
        shared: Shared | None = None,
    ) -> None:
        self.shared = Shared() if shared is None else shared
        super().__init__(self.shared.inputs)
        self.barrier = self._barrier
        self._counter, self._workers, self._worker = counter, workers, worker

    def _barrier(self, worker: int) -> None:
        if self._workers > 1:
            self.write(opcodes.Barrier(self._counter, self._workers))

    def product(self, left: Array, right: Array, out: Array) -> None:
        """Record a product."""
        if out.ndim == 1:
            right, out = right[:, np.newaxis], out[:, np.newaxis]
        if left.ctypes.data in self.shared.after_relu:
            self.shared.outputs[left.ctypes.data] = left.shape
        # A single row lies by rows and by columns. If it is the last, short minibatch of inputs, it
        # is multiplied as the others are: then `skip_zeros` finds it. And z of such a minibatch has
        # gaps, so it is by columns, as the others are.
        inputs = self.own.get(left.ctypes.data)
        is_short = inputs is not None and len(inputs.x) > 1
        if not _by_rows(out) or (len(out) == 1 and (is_short or not _by_rows(left))):
            left, right, out = right.T, left.T, out.T  # (A B)ᵀ = Bᵀ Aᵀ
        (m, k), n = left.shape, right.shape[1]
        # MKL is faster still, on Intel's processors.
        is_mkls = MKL is not None and m * n * k > LARGE
        in_tiles = out.dtype == np.float32 and suits(n, k) and not is_mkls
        operation = opcodes.Product(
            left_transposed=not _by_rows(left),
            right_transposed=not _by_rows(right),
            m=m,
            n=n,
            k=k,
            left=left,
            left_leading=_leading(left),
            right=right,
            right_leading=_leading(right),
            out=out,
            out_leading=_leading(out),
            room=room_for(n, k) if in_tiles else 0,
        )
        inputs = self.own.get(right.ctypes.data)
        if inputs is not None:
            inputs.neurons = min(inputs.neurons, m)
        # `buffers.columns_first` says why.
        assert not (operation.left_transposed and operation.right_transposed)
        self.write(operation)

    def activate(self, f: Activation, z: Array, b: Array, kept: Array, s: Array) -> None:
        """Record a bias and its activation."""
        assert _stride(kept) == _stride(z)
        K, m = z.shape
        operation = opcodes.Activate(ACTIVATION_CODES[f.name], z, b, kept, K, m, _stride(z))
        self.write(operation, f.constant)
        if f.name == "relu" and z.dtype == np.float32:
            self.shared.after_relu.add(z.ctypes.data)

    def multiply_by_derivative(self, f: Activation, delta: Array, kept: Array, s: Array) -> None:
        """Record a product with a derivative."""
        if f.keeps_derivative:
            self.multiply(delta, kept, delta)
            return
        assert delta.flags.f_contiguous and kept.flags.f_contiguous
        operands = ACTIVATION_CODES[f.name], delta, kept, delta.size
        self.write(opcodes.MultiplyByDerivative(*operands), f.constant)

    def normalise(self, z: Array, norm: Norm) -> None:
        """Record a normalisation."""
        assert z.flags.f_contiguous and norm.hat.flags.f_contiguous
        K, m = z.shape
        operands = norm.gamma, norm.running_mean, norm.running_variance, norm.hat, norm.inverse
        self.write(opcodes.Normalise(z, *operands, K, m))

    def normalise_backward(self, delta: Array, norm: Norm, dbeta: Array) -> None:
        """Record the backward pass of a normalisation."""
        assert delta.flags.f_contiguous and norm.hat.flags.f_contiguous
        K, m = delta.shape
        operands = norm.gamma, norm.hat, norm.inverse, norm.dgamma
        self.write(opcodes.NormaliseBackward(delta, *operands, dbeta, K, m))

    def dropout_mask(self, mask: RandomBuffer, key: Bits, stream: int, p: float) -> None:
        """Record the filling of a mask."""
        assert mask.r.flags.c_contiguous and mask.s.flags.c_contiguous
        lines, width = mask.r.shape
        operands = mask.r, mask.s, key, stream, mask.first
        threshold = dropout_threshold(p)
        self.write(opcodes.DropoutMask(*operands, lines, width, threshold))

    def add_noise(
        self, z: Array, noise: RandomBuffer, key: Bits, stream: int, deviation: float
    ) -> None:
        """Record the drawing of noise, and its addition."""
        assert noise.r.flags.c_contiguous and noise.s.flags.c_contiguous
        lines, width = noise.r.shape
        drawing = opcodes.DrawNoise(noise.r, noise.s, key, stream, noise.first, lines, width)
        self.write(drawing, noise_spacing(deviation))
        self.add(z, noise.r, z)
        self.forget_inputs(z)

    def multiply(self, a: Array, r: Array, out: Array) -> None:
        """Record a ⊙ r."""
        assert alike(a, r, out)
        self.write(opcodes.Multiply(a, r, out, out.size))
        if a.ctypes.data in self.shared.after_relu:
            self.shared.after_relu.add(out.ctypes.data)

    def add(self, a: Array, r: Array, out: Array) -> None:
        """Record a + r."""
        assert alike(a, r, out)
        self.write(opcodes.Add(a, r, out, out.size))

    def limit_norms(self, W: Array, c: float, s: Array) -> None:
        """Record the limit of the norms of a layer."""
        assert W.flags.c_contiguous
        self.write(opcodes.LimitNorms(W, *W.shape), c)

    def output_delta(self, loss: Loss, z: Array, y: Array, delta: Array, s: Array) -> None:
        """Record the error of the last layer."""
        if s.shape[1] < 2:  # one class, but the compiled code needs two columns
            s = np.empty((len(s), 2), s.dtype, order="F")
        assert y.flags.c_contiguous and delta.flags.f_contiguous and s.flags.f_contiguous
        K, c = z.shape
        self.write(opcodes.OutputDelta(LOSS_CODES[loss], z, y, delta, s, K, c, _stride(z)))

    def count_correct(
        self, loss: Loss, z: Array, y: Array, labels: Pixels, losses: Array, right: Flags, s: Array
    ) -> None:
        """Record the counting of losses and right answers."""
        assert all(array.flags.c_contiguous for array in (y, labels, losses, right, s))
        n, c = z.shape
        operands = z, y, labels, losses, right, s
        self.write(opcodes.CountCorrect(LOSS_CODES[loss], *operands, n, c, _stride(z)))

    def update(self, rule: Rule, block: Block, factors: Numbers) -> None:
        """Record an update."""
        p, g = block.p, block.g
        # Compiled code takes two slots, used or not.
        first, second, *_ = [*block.slots, *block.slots, g, g]
        operation = opcodes.Update(RULES.index(rule.name), p, g, p.size, first, second, factors)
        self.write(operation, block.decay, *rule.constants)

    def sum_squares(self, pieces: Sequence[Array], total: Numbers) -> None:
        """Record the sum of the squares of all pieces."""
        for i, g in enumerate(pieces):
            self.write(opcodes.SumSquares(g, g.size, total, i == 0))

    def clip(self, pieces: Sequence[Array], limit: float, squares: Numbers) -> None:
        """Record clipping."""
        for g in pieces:
            self.write(opcodes.Clip(g, g.size, squares, squares.size), limit)


def _by_rows(matrix: Array) -> bool:
    return bool(matrix.strides[1] == matrix.itemsize)


def _stride(z: Array) -> int:
    """Return how many elements lie from the values of a neuron to those of the next."""
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
