"""Matrix products of float32, in tiles that stay in the processor's registers.

C ← β C + α A B, C (m, n), by rows:

    for each block of the sum, at most `DEPTH` long
        pack B in panels, `WIDTH` columns wide, unless its rows are long enough as they are
        for each tile of C, `ROWS` rows high, and each panel
            for k: tile += column k of A ⊗ row k of the panel

A tile is as large as the registers allow. A number that is loaded is then used `ROWS` or `WIDTH`
times, and the processor multiplies at nearly its full rate. Each number of C is one sum over k in
its order, whatever tile it lies in: it does not depend on how threads share the work.

A is read where it lies. So is B, if its rows are long enough; else it is packed in panels.
Addresses are those of memory, and distances count numbers.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numba.extending import overload

from mlp_cli.compute.fast.blas import PLAIN, TRANSPOSED
from mlp_cli.compute.fast.gemm import gemm
from mlp_cli.compute.fast.intrinsics import jit, part, pointer, prefetch_all, stay_apart
from mlp_cli.compute.fast.tiles import compute_tile, turn
from mlp_cli.compute.fast.tiling import BYTES, DEPTH, LANES, ROWS, WIDTH
from mlp_cli.compute.fast.updates import update
from mlp_cli.compute.fast.vectors import number_at, put_number

AHEAD = 4 * WIDTH  # columns whose parameters are prefetched while their gradient is computed
_PANELS = BYTES * ROWS * WIDTH  # where they begin, in the room of a product: after a corner


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
def _pack_right(turned, n, count, b, ldb, room):
    """Pack those panels of B (count, n) that cannot be read as they are."""
    stay_apart()
    for j in range(0, n, WIDTH):
        columns = min(WIDTH, n - j)
        if turned or columns < WIDTH:
            source = b + BYTES * (j * ldb if turned else j)
            _pack(turned, source, ldb, count, columns, room + _PANELS + BYTES * count * j)


@jit
def _multiply_rows(
    alpha, beta, rows, first, stop, count, a, a_row, a_step, turned, b, ldb, room, c, ldc
):
    """Write the columns from `first` to `stop` of some rows of C ← β C + α A B, B in panels."""
    stay_apart()
    for j in range(first, stop, WIDTH):
        columns = min(WIDTH, stop - j)
        whole = columns == WIDTH
        panel, line = room + _PANELS + BYTES * count * j, WIDTH
        if whole and not turned:
            panel, line = b + BYTES * j, ldb
        out = c + BYTES * j
        compute_tile(
            rows, 2 if columns > LANES else 1, count, a, BYTES * a_row, BYTES * a_step,
            panel, BYTES * line, out if whole else room, BYTES * (ldc if whole else WIDTH),
            alpha, beta if whole else types.float32(0),
        )  # fmt: skip
        if not whole:
            for i in range(rows):
                for column in range(columns):
                    total = number_at(room + BYTES * (i * WIDTH + column))
                    place = out + BYTES * (i * ldc + column)
                    if beta != 0:
                        total += beta * number_at(place)
                    put_number(place, total)


@part
def _multiply(alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
    a_row, a_step = (1, lda) if a_turned else (lda, 1)
    b_step, tiles = 1 if b_turned else ldb, (m + ROWS - 1) // ROWS
    for first in range(0, k, DEPTH):
        count, keep = min(DEPTH, k - first), beta if first == 0 else types.float32(1)
        b_first = b + BYTES * first * b_step
        _pack_right(b_turned, n, count, b_first, ldb, room)
        for tile in range(tiles):
            i, stop = m * tile // tiles, m * (tile + 1) // tiles
            _multiply_rows(
                alpha, keep, stop - i, 0, n, count, a + BYTES * (i * a_row + first * a_step),
                a_row, a_step, b_turned, b_first, ldb, room, c + BYTES * i * ldc, ldc,
            )  # fmt: skip


def product(like, *operands):
    """Write C (m, n) ← β C + α A B in the type of `like`, by tiles or by BLAS.

    A (m, k) or its transpose, B (k, n) or its transpose. `room` is memory for
    `tiling.room_for(n, k)` numbers, 0 if BLAS multiplies.
    """
    raise NotImplementedError


@overload(product, inline="always")
def _product_of(like, alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
    in_tiles = like.dtype == types.float32

    def call(like, alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
        if in_tiles and room:
            _multiply(
                types.float32(alpha), types.float32(beta), a_turned, b_turned,
                m, n, k, a, lda, b, ldb, c, ldc, room,
            )  # fmt: skip
        else:
            a_kind, b_kind = TRANSPOSED if a_turned else PLAIN, TRANSPOSED if b_turned else PLAIN
            gemm(like, alpha, beta, a_kind, b_kind, m, n, k, a, lda, b, ldb, c, ldc)

    return call


@part
def learn(
    like, a_turned, b_turned, m, n, k, a, lda, b, ldb, g, room,
    rule, p, first_slot, second_slot, rates, constants,
):  # fmt: skip
    """Update p (m, n) by a rule with the gradient A B, some rows at a time; g is scratch."""
    a_row, a_step = (1, lda) if a_turned else (lda, 1)
    tiles, real = (m + ROWS - 1) // ROWS, like.dtype
    one, zero = types.float32(1), types.float32(0)
    _pack_right(b_turned, n, k, b, ldb, room)
    for tile in range(tiles):
        i, stop = m * tile // tiles, m * (tile + 1) // tiles
        at, rows = BYTES * i * n, stop - i
        for first in range(0, n, AHEAD):
            last = min(first + AHEAD, n)
            for vector in (p, first_slot, second_slot):
                for line in range(rows):
                    start = vector + at + BYTES * (line * n + first)
                    prefetch_all(start, BYTES * (last - first))
            _multiply_rows(
                one, zero, rows, first, last, k, a + BYTES * i * a_row, a_row, a_step,
                b_turned, b, ldb, room, g, n,
            )  # fmt: skip
        size = rows * n
        update(
            rule, numba.carray(pointer(p + at), size, real), numba.carray(pointer(g), size, real),
            numba.carray(pointer(first_slot + at), size, real),
            numba.carray(pointer(second_slot + at), size, real),
            numba.carray(pointer(rates), 3, np.float64), constants,
        )  # fmt: skip
