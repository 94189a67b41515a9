"""The layers above the first without the zeros of ReLU.

After ReLU, and more so after dropout, many neurons of the layer below are 0. The others are lit, as
pixels are. z = a Wᵀ and ΔW = δᵀ a are then those of `first_layer`. The error of the layer below is
needed for its lit neurons alone, because f′ is 0 where a is:

    (δ W)_kj = δ_k · w_j    for the j that are lit in example k    w_j: the weights of neuron j

A panel of W holds w_j side by side, for some of the neurons i. Each panel adds its share of the sum
over i.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from mlp_cli.compute.fast.first_layer import choose, masks_of
from mlp_cli.compute.fast.intrinsics import jit, part, pointer
from mlp_cli.compute.fast.tiles import turn
from mlp_cli.compute.fast.tiling import BYTES, WIDTHS, WORD
from mlp_cli.compute.fast.vectors import lowest, number_at, operations, put_number

ALL = np.uint64(2**64 - 1)


def _loop(size: int) -> Any:
    """Return the loop over panels of one width."""
    vector, STEP = operations(size), BYTES * size
    load, multiply, total = vector.load, vector.multiply, vector.total

    @jit
    def add_errors(masks, K, n, start, stop, delta, panel, out):
        """Add a panel's share of δ W to `out` (K, stop − start)."""
        words, count = (n + WORD - 1) // WORD, stop - start
        for word in range(start // WORD, (stop + WORD - 1) // WORD):
            first = word * WORD
            low, high = max(start - first, 0), min(stop - first, WORD)
            own = (ALL >> np.uint64(WORD - (high - low))) << np.uint64(low)
            for k in range(K):
                bits, errors = masks[k * words + word] & own, load(delta + STEP * k)
                row = out + BYTES * (k * count + first - start)
                while bits != 0:
                    j = lowest(bits)
                    bits &= bits - np.uint64(1)
                    share = total(multiply(errors, load(panel + STEP * (first + j))))
                    put_number(row + BYTES * j, number_at(row + BYTES * j) + share)

    return add_errors


_add_errors = choose(*map(_loop, WIDTHS))


@part
def errors(line, at):
    """Run a line of a program that is an `ErrorsLit`, whose operands are `at` these columns."""
    K, m, width = line[at.K], line[at.m], line[at.width]
    start, stop, out = line[at.start], line[at.stop], line[at.out]
    if line[at.is_first]:
        numba.carray(pointer(out), K * (stop - start), np.float32)[:] = 0
    room = line[at.room]
    if m < width:
        numba.carray(pointer(room), K * width, np.float32)[:] = 0
    turn(line[at.delta], K, m, K, room, width)
    masks = masks_of(line[at.masks], K, line[at.n])
    _add_errors(width, masks, K, line[at.n], start, stop, room, line[at.panel], out)
