"""Single lines of a program, run by the code that trainings run. Needs the extra `fast`."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlp_cli.compute.fast.image_opcodes import with_addresses
from mlp_cli.compute.fast.kernels import kernel_cache
from mlp_cli.compute.fast.opcodes import CONSTANTS, OPERANDS, OPERATIONS, Descend, Product
from mlp_cli.compute.fast.tiling import aligned_zeros, room_for, room_for_pairs
from mlp_cli.compute.kernels import say_nothing
from mlp_cli.nn.buffers import Array

SINGLE = np.float32


def run_line(operation: Any, *constants: float, dtype: str = "float32") -> None:
    """Run one line of a program, for a `training.dtype` of float32 parameters."""
    like = np.empty(1, SINGLE)
    line, numbers = np.zeros((1, OPERANDS), np.int64), np.zeros((1, CONSTANTS))
    line[0, 0] = OPERATIONS.index(type(operation))
    line[0, 1 : 1 + len(operation)] = with_addresses(operation)
    numbers[0, : len(constants)] = constants
    execute = kernel_cache(dtype).load(say_nothing, say_nothing)
    execute(line.ctypes.data, 1, numbers.ctypes.data, like.ctypes.data)


def multiply_in_tiles(
    left: Array, right: Array, out: Array, alpha: float = 1, beta: float = 0, dtype: str = "float32"
) -> None:
    """Write out ← β out + α left right, in tiles; transposed factors are seen by their strides."""
    (m, k), n = left.shape, right.shape[1]
    turned = [factor.strides[1] != factor.itemsize for factor in (left, right)]
    leading = [max(factor.strides) // factor.itemsize for factor in (left, right)]
    size = (room_for if dtype == "float32" else room_for_pairs)(n, k)
    room, out_leading = aligned_zeros(size + 1), out.strides[0] // out.itemsize
    room[-1] = 7
    operands = *turned, m, n, k, left, leading[0], right, leading[1], out, out_leading, room
    if (alpha, beta) == (1, 0):
        run_line(Product(*operands), dtype=dtype)
    else:  # plain SGD: out ← (1 − η λ) out − η left right
        run_line(Descend(*operands, np.array([-alpha])), (1 - beta) / -alpha, dtype=dtype)
    assert room[-1] == 7  # the room was large enough


def rounded(numbers: Array, dtype: str = "bfloat16") -> Array:
    """Return the nearest numbers of bfloat16, of two equally near the one whose last bit is 0.

    Numbers of float32 are returned as they are.
    """
    if dtype == "float32":
        return numbers
    bits = np.ascontiguousarray(numbers, SINGLE).view(np.uint32).astype(np.uint64)
    bits = bits + 0x7FFF + (bits >> 16 & 1) >> 16 << 16
    return bits.astype(np.uint32).view(SINGLE)
