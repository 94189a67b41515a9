"""The factors of products of float32: each number as it is.

A is read where it lies. So is B, if its rows are long enough; else it is packed in panels.
"""

from __future__ import annotations

from numba import types

from mlp_cli.compute.fast.intrinsics import jit, part, stay_apart
from mlp_cli.compute.fast.tiles import tile_by, turn
from mlp_cli.compute.fast.tiling import BYTES, DEPTH, ROWS, WIDTH
from mlp_cli.compute.fast.vectors import multiply_add, number_at, put_number

LONGEST = DEPTH  # sum over one block
_PANELS = BYTES * ROWS * WIDTH  # where they begin, in the room of a product

compute_tile = tile_by(multiply_add)


@part
def lines_of(count):
    """Return how many lines of a panel hold this many numbers of a sum."""
    return count


@jit
def _pack(turned, b, ldb, count, columns, panel):
    """Write a panel (count, WIDTH) from B (count, columns), or from its transpose; 0 beside it."""
    if columns < WIDTH:
        for place in range(count * WIDTH):
            put_number(panel + BYTES * place, types.float32(0))
    if turned:
        turn(b, ldb, columns, count, panel, WIDTH)
    else:
        for k in range(count):
            for j in range(columns):
                put_number(panel + BYTES * (k * WIDTH + j), number_at(b + BYTES * (k * ldb + j)))


@jit
def pack_right(turned, n, count, b, ldb, room):
    """Pack those panels of B (count, n) that cannot be read as they are."""
    stay_apart()
    for j in range(0, n, WIDTH):
        columns = min(WIDTH, n - j)
        if turned or columns < WIDTH:
            source = b + BYTES * (j * ldb if turned else j)
            _pack(turned, source, ldb, count, columns, room + _PANELS + BYTES * count * j)


@part
def panel_at(turned, j, whole, count, b, ldb, room):
    """Return where the panel of the columns from j begins, and its distance between lines."""
    if whole and not turned:
        return b + BYTES * j, BYTES * ldb
    return room + _PANELS + BYTES * count * j, BYTES * WIDTH


@part
def pack_left(turned, rows, beyond, count, a, lda, room):
    """Return where some rows of A lie, and their distances between rows and between columns."""
    return a, BYTES * (1 if turned else lda), BYTES * (lda if turned else 1)


@part
def prefetch_left(turned, rows, count, a, lda, share, shares):
    """Do nothing: rows that are read where they lie are asked for soon enough."""
