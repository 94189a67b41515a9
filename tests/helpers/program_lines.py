"""Single lines of a program, run by the code that trainings run. Needs the extra `fast`."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlp_cli.compute.fast.image_opcodes import with_addresses
from mlp_cli.compute.fast.kernels import kernel_cache
from mlp_cli.compute.fast.opcodes import CONSTANTS, OPERANDS, OPERATIONS, Descend, Product
from mlp_cli.compute.fast.tiling import aligned_zeros, room_for
from mlp_cli.compute.kernels import say_nothing
from mlp_cli.nn.buffers import Array

SINGLE = np.float32


def run_line(operation: Any, *constants: float) -> None:
    """Run one line of a program, for float32 parameters."""
    like = np.empty(1, SINGLE)
    line, numbers = np.zeros((1, OPERANDS), np.int64), np.zeros((1, CONSTANTS))
    line[0, 0] = OPERATIONS.index(type(operation))
    line[0, 1 : 1 + len(operation)] = with_addresses(operation)
    numbers[0, : len(constants)] = constants
    execute = kernel_cache("float32").load(say_nothing, say_nothing)
    execute(line.ctypes.data, 1, numbers.ctypes.data, like.ctypes.data)


def multiply_in_tiles(
    left: Array, right: Array, out: Array, alpha: float = 1, beta: float = 0
) -> None:
    """Write out ← β out + α left right, in tiles; transposed factors are seen by their strides."""
    (m, k), n = left.shape, right.shape[1]
    turned = [factor.strides[1] != factor.itemsize for factor in (left, right)]
    leading = [max(factor.strides) // factor.itemsize for factor in (left, right)]
    room, out_leading = aligned_zeros(room_for(n, k) + 1), out.strides[0] // out.itemsize
    room[-1] = 7
    operands = *turned, m, n, k, left, leading[0], right, leading[1], out, out_leading, room
    if (alpha, beta) == (1, 0):
        run_line(Product(*operands))
    else:  # plain SGD: out ← (1 − η λ) out − η left right
        run_line(Descend(*operands, np.array([-alpha])), (1 - beta) / -alpha)
    assert room[-1] == 7  # the room was large enough
