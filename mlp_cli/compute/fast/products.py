"""Matrix products of float32, in tiles that stay in the processor's registers.

C ← β C + α A B, C (m, n), by rows:

    for each block of the sum, at most `LONGEST` long
        pack B in panels, `WIDTH` columns wide, unless its rows are long enough as they are
        for each tile of C, `ROWS` rows high, and each panel
            for k: tile += column k of A ⊗ row k of the panel

A tile is as large as the registers allow. A number that is loaded is then used `ROWS` or `WIDTH`
times, and the processor multiplies at nearly its full rate. Each number of C is one sum over k in
its order, whatever tile it lies in: it does not depend on how threads share the work.

The factors are `singles`, numbers of float32, or `pairs` of bfloat16. These modules pack them, and
have the tile that multiplies them. Addresses are those of memory, and distances count numbers.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numba.extending import overload

from mlp_cli.compute.fast import pairs, singles
from mlp_cli.compute.fast.blas import PLAIN, TRANSPOSED
from mlp_cli.compute.fast.gemm import gemm
from mlp_cli.compute.fast.intrinsics import jit, part, pointer, prefetch_all, stay_apart
from mlp_cli.compute.fast.tiling import BYTES, LANES, ROWS, WIDTH
from mlp_cli.compute.fast.updates import update
from mlp_cli.compute.fast.vectors import number_at, put_number

BFLOAT16 = types.uint16  # Numba has no type for it
AHEAD = 4 * WIDTH  # columns whose parameters are prefetched while their gradient is computed


def _products(factors):
    """Return `multiply` and `learn` for factors of one kind, a module."""
    compute_tile, lines_of, panel_at = factors.compute_tile, factors.lines_of, factors.panel_at
    pack_left, pack_right, longest = factors.pack_left, factors.pack_right, factors.LONGEST
    prefetch_left = factors.prefetch_left

    @jit
    def multiply_rows(
        alpha, beta, rows, first, stop, count, left, row, step, turned, b, ldb, room, c, ldc
    ):
        """Write the columns from `first` to `stop` of some rows of C ← β C + α A B, both packed."""
        stay_apart()
        for j in range(first, stop, WIDTH):
            columns = min(WIDTH, stop - j)
            whole = columns == WIDTH
            panel, line = panel_at(turned, j, whole, count, b, ldb, room)
            out = c + BYTES * j
            compute_tile(
                rows, 2 if columns > LANES else 1, lines_of(count), left, row, step, panel, line,
                out if whole else room, BYTES * (ldc if whole else WIDTH),
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
    def multiply(alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
        a_row, a_step = (1, lda) if a_turned else (lda, 1)
        b_step, tiles = 1 if b_turned else ldb, (m + ROWS - 1) // ROWS
        for first in range(0, k, longest):
            count, keep = min(longest, k - first), beta if first == 0 else types.float32(1)
            b_first = b + BYTES * first * b_step
            pack_right(b_turned, n, count, b_first, ldb, room)
            for tile in range(tiles):
                i, stop = m * tile // tiles, m * (tile + 1) // tiles
                a_first = a + BYTES * (i * a_row + first * a_step)
                left, row, step = pack_left(a_turned, stop - i, m - i, count, a_first, lda, room)
                after = m * (tile + 2) // tiles - stop if tile + 1 < tiles else 0
                for j in range(0, n, WIDTH):  # the next rows come while these are multiplied
                    prefetch_left(
                        a_turned, after, count, a_first + BYTES * (stop - i) * a_row, lda,
                        j // WIDTH, (n + WIDTH - 1) // WIDTH,
                    )  # fmt: skip
                    multiply_rows(
                        alpha, keep, stop - i, j, min(j + WIDTH, n), count, left, row, step,
                        b_turned, b_first, ldb, room, c + BYTES * i * ldc, ldc,
                    )  # fmt: skip

    @part
    def learn(
        a_turned, b_turned, m, n, k, a, lda, b, ldb, g, room,
        rule, p, first_slot, second_slot, rates, constants,
    ):  # fmt: skip
        a_row, tiles, real = 1 if a_turned else lda, (m + ROWS - 1) // ROWS, np.float32
        one, zero = types.float32(1), types.float32(0)
        pack_right(b_turned, n, k, b, ldb, room)
        for tile in range(tiles):
            i, stop = m * tile // tiles, m * (tile + 1) // tiles
            at, rows = BYTES * i * n, stop - i
            left, row, step = pack_left(a_turned, rows, m - i, k, a + BYTES * i * a_row, lda, room)
            for first in range(0, n, AHEAD):
                last = min(first + AHEAD, n)
                for vector in (p, first_slot, second_slot):
                    for line in range(rows):
                        start = vector + at + BYTES * (line * n + first)
                        prefetch_all(start, BYTES * (last - first))
                multiply_rows(
                    one, zero, rows, first, last, k, left, row, step, b_turned, b, ldb, room, g, n
                )
            size = rows * n
            update(
                rule, numba.carray(pointer(p + at), size, real),
                numba.carray(pointer(g), size, real),
                numba.carray(pointer(first_slot + at), size, real),
                numba.carray(pointer(second_slot + at), size, real),
                numba.carray(pointer(rates), 3, np.float64), constants,
            )  # fmt: skip

    return multiply, learn


# By the type in which a product takes its factors.
_BY_TILES = {types.float32: _products(singles), BFLOAT16: _products(pairs)}


def product(like, factor, *operands):
    """Write C (m, n) ← β C + α A B in the type of `like`, by tiles or by BLAS.

    A (m, k) or its transpose, B (k, n) or its transpose. `factor` is the type of the factors in
    tiles, and `room` is memory for `tiling.room_for(n, k)` numbers, 0 if BLAS multiplies.
    """
    raise NotImplementedError


@overload(product, inline="always")
def _product_of(
    like, factor, alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room
):
    in_tiles = factor.instance_type in _BY_TILES
    multiply, _ = _BY_TILES[factor.instance_type if in_tiles else types.float32]

    def call(like, factor, alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
        if in_tiles and room:
            multiply(
                types.float32(alpha), types.float32(beta), a_turned, b_turned,
                m, n, k, a, lda, b, ldb, c, ldc, room,
            )  # fmt: skip
        else:
            a_kind, b_kind = TRANSPOSED if a_turned else PLAIN, TRANSPOSED if b_turned else PLAIN
            gemm(like, alpha, beta, a_kind, b_kind, m, n, k, a, lda, b, ldb, c, ldc)

    return call


def learn(factor, *operands):
    """Update p (m, n) by a rule with the gradient A B, some rows at a time; g is scratch."""
    raise NotImplementedError


@overload(learn, inline="always")
def _learn_by(
    factor, a_turned, b_turned, m, n, k, a, lda, b, ldb, g, room,
    rule, p, first_slot, second_slot, rates, constants,
):  # fmt: skip
    _, learn_by = _BY_TILES.get(factor.instance_type, (None, None))

    def call(
        factor, a_turned, b_turned, m, n, k, a, lda, b, ldb, g, room,
        rule, p, first_slot, second_slot, rates, constants,
    ):  # fmt: skip
        learn_by(
            a_turned, b_turned, m, n, k, a, lda, b, ldb, g, room,
            rule, p, first_slot, second_slot, rates, constants,
        )  # fmt: skip

    def never_called(
        factor, a_turned, b_turned, m, n, k, a, lda, b, ldb, g, room,
        rule, p, first_slot, second_slot, rates, constants,
    ):  # fmt: skip
        pass

    return call if learn_by else never_called
