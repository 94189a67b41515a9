"""How products are cut to the processor's registers and caches, and when that pays.

The recorder asks this module, and so it does without Numba. Sizes count numbers of float32, unless
they are said to be bytes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator

import llvmlite.binding
import numpy as np

from mlp_cli.nn.buffers import Array

BYTES = 4  # of a number
LINE = 64  # bytes of memory that come into a cache together


def _features() -> list[str]:
    """Return what the processor has, as LLVM names it, each with a plus."""
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        try:
            features = llvmlite.binding.get_host_cpu_features().flatten()
        except RuntimeError:  # LLVM does not know them on every system
            features = ""
    return features.split(",")


def _registers(present: Collection[str]) -> tuple[int, int]:
    """Return how many numbers a register of the processor holds, and how many registers it has."""
    if "+avx512f" in present:
        return 16, 32
    if "+avx2" in present and "+fma" in present:
        return 8, 16
    return (4, 32) if "+neon" in present else (4, 16)


LANES, REGISTERS = _registers(_features())

# A tile of C has `ROWS` rows of two registers. A row of B and a number of A take three more.
WIDTH = 2 * LANES
ROWS = 13 if REGISTERS == 32 else 6
DEPTH = 512  # of a sum: a panel of B is then in the second cache, and the rows of A in the first
WASTE = 1.2  # columns that are computed, for each column of C: with more, BLAS is faster
SHORTEST = 20  # sum for which tiles are faster than BLAS


def room_for(n: int, k: int) -> int:
    """Return for how many numbers a product in tiles needs room: n columns, sums of k products."""
    return ROWS * WIDTH + min(k, DEPTH) * -(-n // WIDTH) * WIDTH


def suits(n: int, k: int) -> bool:
    """Return whether tiles are faster than BLAS for n columns and sums of k products.

    They are not if many columns of the tiles lie beside C, or if the sums are short.
    """
    return k >= SHORTEST and -(-n // LANES) * LANES <= WASTE * n


# The panels of the first layer, in neurons. Up to the middle width, all take about the same time.
WIDTHS = 2 * LANES, 4 * LANES, 8 * LANES
WORD = 64  # pixels whose bits are in a word, and whose weights are in the first cache together
EXAMPLES = 32  # whose bits are in a word
INPUTS = 16  # whose weights are updated together
FEW = 2 * EXAMPLES  # whose errors stay in the first cache together
FEWEST = 8  # examples of a minibatch for which skipping zeros pays
DENSEST = 0.5  # share of lit pixels for which it pays
HIDDEN = 6 * LANES  # neurons for which it pays in a hidden layer: a wide panel, nearly full


def skips_zeros(K: int, m: int, n: int, density: float) -> bool:
    """Return whether skipping zeros is faster than whole products, for m neurons of n inputs."""
    return K >= FEWEST and m >= LANES and n >= WORD and density <= DENSEST


def skips_hidden_zeros(K: int, m: int, n: int) -> bool:
    """Return whether skipping the zeros of ReLU is faster, for m neurons of n inputs."""
    return K >= FEWEST and m >= HIDDEN and n >= 2 * WORD


def panels_of(m: int) -> Iterator[tuple[int, int, int]]:
    """Yield for each panel of m neurons its first neuron, its neurons, and its width.

    The last may be wider than what is left.
    """
    for first in range(0, m, WIDTHS[-1]):
        left = min(WIDTHS[-1], m - first)
        yield first, left, next(width for width in WIDTHS if width >= left)


def aligned_zeros(*shape: int) -> Array:
    """Return float32 zeros that begin at a line of memory: a vector then lies in one line."""
    size = math.prod(shape)
    memory = np.zeros(size + LINE, np.float32)
    start = -memory.ctypes.data % LINE // BYTES
    return memory[start : start + size].reshape(shape)
