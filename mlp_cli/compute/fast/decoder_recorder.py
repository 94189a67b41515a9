"""Records the operations of a decoder."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.fast.decoder_opcodes import (
    AddBias,
    Combine,
    CombineBackward,
    Difference,
    Transpose,
)
from mlp_cli.compute.fast.writer import Writer
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.decoder_ops import Combinator, DecoderOps


class DecoderRecorder(Writer, DecoderOps):
    """Operations of a decoder that are recorded and not done."""

    def transpose(self, x: Array, out: Array) -> None:
        """Record a copy that turns rows into columns."""
        assert x.strides[1] == out.strides[0] == x.itemsize
        leading = x.strides[0] // x.itemsize, out.strides[1] // x.itemsize
        self.write(Transpose(x, leading[0], out, leading[1], *x.shape))

    def add_bias(self, z: Array, b: Array, out: Array) -> None:
        """Record a sum with biases."""
        assert z.flags.f_contiguous and out.flags.f_contiguous
        self.write(AddBias(z, b, out, *z.shape))

    def difference(self, q: Array, x: Array, factor: float, out: Array) -> None:
        """Record a difference times a factor."""
        assert alike(q, x, out)
        self.write(Difference(q, x, out, out.size), factor)

    def combine(self, of: Combinator) -> None:
        """Record a reconstruction."""
        assert alike(of.t, of.u, of.q)
        self.write(Combine(of.A, of.t, of.u, of.q, *of.u.shape))

    def combine_backward(self, of: Combinator, delta: Array, delta_u: Array, dA: Array) -> None:
        """Record the backward pass of a reconstruction."""
        assert alike(of.t, of.u, delta, delta_u)
        s = np.empty((4, len(delta)), delta.dtype)
        self.write(CombineBackward(of.A, of.t, of.u, delta, delta_u, dA, s, *delta.shape))


def alike(*arrays: Array) -> bool:
    """Return whether the elements of the arrays lie in one order, without gaps."""
    flags = [array.flags for array in arrays]
    return all(f.c_contiguous for f in flags) or all(f.f_contiguous for f in flags)
