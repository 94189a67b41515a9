"""Matrix products of float32, in tiles that stay in the processor's registers.

C ← β C + α A B, C (m, n), by rows:

    for each block of the sum, at most `DEPTH` long
        pack B in panels, `WIDTH` columns wide, unless its rows are long enough as they are
        for each tile of C, `ROWS` rows high, and each panel
            for k: tile += column k of A ⊗ row k of the panel

A tile is as large as the registers allow. A number that is loaded is then used `ROWS` or `WIDTH`
times, and the processor multiplies at nearly its full rate. Each number of C is one sum over k in
its order, whatever tile it lies in: it does not depend on how threads share the work.

Addresses are those of memory, and distances count numbers.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from mlp_cli.compute.fast.blas import PLAIN, TRANSPOSED
from mlp_cli.compute.fast.gemm import gemm
from mlp_cli.compute.fast.intrinsics import jit, part, pointer, prefetch_all, stay_apart
from mlp_cli.compute.fast.tiling import BYTES, DEPTH, LANES, ROWS, WIDTH
from mlp_cli.compute.fast.updates import update
from mlp_cli.compute.fast.vectors import (
    load_numbers,
    multiply_add,
    number_at,
    put_number,
    spread_number,
    store_numbers,
    vector_type,
)

AHEAD = 4 * WIDTH  # columns whose parameters are prefetched while their gradient is computed


def _tile(builder: Any, rows: int, width: int, operands: Any) -> None:
    """Write the code for one tile (rows, width)."""
    count, A, a_row, a_step, B, b_step, C, c_row, alpha, beta = operands
    kind, word = vector_type(width), count.type
    sums = [cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in range(rows)]
    a_at, b_at = (cgutils.alloca_once_value(builder, start) for start in (A, B))
    starts = [builder.mul(a_row, word(i)) for i in range(rows)]
    with cgutils.for_range(builder, count):
        a, b = builder.load(a_at), builder.load(b_at)
        row = load_numbers(builder, b, kind)
        for start, place in zip(starts, sums, strict=True):
            number = load_numbers(builder, builder.add(a, start), ir.FloatType())
            total = multiply_add(
                builder, spread_number(builder, number, width), row, builder.load(place)
            )
            builder.store(total, place)
        builder.store(builder.add(a, a_step), a_at)
        builder.store(builder.add(b, b_step), b_at)
    factor, keep = (spread_number(builder, each, width) for each in (alpha, beta))
    is_new = builder.fcmp_ordered("==", beta, ir.FloatType()(0))  # what is there may be anything
    for i, place in enumerate(sums):
        at = builder.add(C, builder.mul(c_row, word(i)))
        total = builder.fmul(factor, builder.load(place))
        with builder.if_else(is_new) as (new, old):
            with new:
                store_numbers(builder, at, total)
            with old:
                before = load_numbers(builder, at, kind)
                store_numbers(builder, at, multiply_add(builder, keep, before, total))


@intrinsic
def _compute_tile(_, rows, vectors, count, A, a_row, a_step, B, b_step, C, c_row, alpha, beta):
    """Write a tile (rows, vectors · LANES) of C ← β C + α Σ_k A(i, k) B(k); distances in bytes."""

    def build(context, builder, signature, args):
        rows, vectors, *operands = args
        end = builder.append_basic_block("end")
        shape = builder.add(builder.mul(rows, rows.type(2)), vectors)
        choice = builder.switch(shape, end)
        for count in range(1, ROWS + 1):
            for each in (1, 2):
                block = builder.append_basic_block(f"tile{count}x{each}")
                choice.add_case(rows.type(2 * count + each), block)
                builder.position_at_end(block)
                _tile(builder, count, each * LANES, operands)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    f, w = types.float32, types.intp
    return types.void(w, w, w, w, w, w, w, w, w, w, f, f), build


@intrinsic
def _turn(_, source, row, out, out_row):
    """Write the transpose of a square of LANES × LANES numbers; distances in bytes."""
    kind = vector_type(LANES)

    def build(context, builder, signature, args):
        source, row, out, out_row = args
        word = row.type
        rows = [
            load_numbers(builder, builder.add(source, builder.mul(row, word(i))), kind)
            for i in range(LANES)
        ]
        places = ir.VectorType(ir.IntType(32), LANES)
        distance = LANES // 2
        while distance:  # exchange the squares beside the diagonal, then those within each square
            low = [j if not j & distance else LANES + j - distance for j in range(LANES)]
            high = [j + distance if not j & distance else LANES + j for j in range(LANES)]
            for i in range(LANES):
                if not i & distance:
                    pair = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = (
                        builder.shuffle_vector(*pair, ir.Constant(places, mask))
                        for mask in (low, high)
                    )
            distance //= 2
        for i, each in enumerate(rows):
            store_numbers(builder, builder.add(out, builder.mul(out_row, word(i))), each)
        return context.get_dummy_value()

    w = types.intp
    return types.void(w, w, w, w), build


@jit
def turn(source, row, lines, columns, out, out_row):
    """Write the transpose (columns, lines) of a matrix (lines, columns)."""
    stay_apart()
    whole_lines, whole_columns = lines // LANES * LANES, columns // LANES * LANES
    # The inner loop goes along the longer side, so that few pages of memory are in use at a time.
    is_wide = columns >= lines
    outer, inner = (whole_lines, whole_columns) if is_wide else (whole_columns, whole_lines)
    for first in range(0, outer, LANES):
        for second in range(0, inner, LANES):
            i, j = (first, second) if is_wide else (second, first)
            _turn(
                source + BYTES * (i * row + j), BYTES * row,
                out + BYTES * (j * out_row + i), BYTES * out_row,
            )  # fmt: skip
    for i in range(lines):
        for j in range(whole_columns if i < whole_lines else 0, columns):
            put_number(out + BYTES * (j * out_row + i), number_at(source + BYTES * (i * row + j)))


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
def _pack_right(turned, n, count, b, ldb, panels):
    """Pack those panels of B (count, n) that cannot be read as they are."""
    stay_apart()
    for j in range(0, n, WIDTH):
        columns = min(WIDTH, n - j)
        if turned or columns < WIDTH:
            source = b + BYTES * (j * ldb if turned else j)
            _pack(turned, source, ldb, count, columns, panels + BYTES * count * j)


@jit
def _multiply_rows(
    alpha, beta, rows, first, stop, count,
    a, a_row, a_step, turned, b, ldb, panels, corner, c, ldc,
):  # fmt: skip
    """Write the columns from `first` to `stop` of some rows of C ← β C + α A B, B in panels."""
    stay_apart()
    for j in range(first, stop, WIDTH):
        columns = min(WIDTH, stop - j)
        whole = columns == WIDTH
        b_at, b_step = panels + BYTES * count * j, WIDTH
        if whole and not turned:
            b_at, b_step = b + BYTES * j, ldb
        out = c + BYTES * j
        _compute_tile(
            rows, 2 if columns > LANES else 1, count, a, BYTES * a_row, BYTES * a_step,
            b_at, BYTES * b_step, out if whole else corner, BYTES * (ldc if whole else WIDTH),
            alpha, beta if whole else types.float32(0),
        )  # fmt: skip
        if not whole:
            for row in range(rows):
                for column in range(columns):
                    total = number_at(corner + BYTES * (row * WIDTH + column))
                    place = out + BYTES * (row * ldc + column)
                    if beta != 0:
                        total += beta * number_at(place)
                    put_number(place, total)


@part
def multiply(alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
    """Write C (m, n) ← β C + α A B; A (m, k) or its transpose, B (k, n) or its transpose.

    `room` is memory for `room_for(n, k)` numbers.
    """
    a_row, a_step = (1, lda) if a_turned else (lda, 1)
    b_step = 1 if b_turned else ldb
    panels, tiles = room + BYTES * ROWS * WIDTH, (m + ROWS - 1) // ROWS
    for first in range(0, k, DEPTH):
        count, keep = min(DEPTH, k - first), beta if first == 0 else types.float32(1)
        b_first = b + BYTES * first * b_step
        _pack_right(b_turned, n, count, b_first, ldb, panels)
        for tile in range(tiles):
            i, stop = m * tile // tiles, m * (tile + 1) // tiles
            _multiply_rows(
                alpha, keep, stop - i, 0, n, count, a + BYTES * (i * a_row + first * a_step),
                a_row, a_step, b_turned, b_first, ldb, panels, room, c + BYTES * i * ldc, ldc,
            )  # fmt: skip


def product(like, *operands):
    """Write C ← β C + α A B in the type of `like`, by tiles or by BLAS."""
    raise NotImplementedError


@overload(product, inline="always")
def _product_of(like, alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
    in_tiles = like.dtype == types.float32

    def call(like, alpha, beta, a_turned, b_turned, m, n, k, a, lda, b, ldb, c, ldc, room):
        if in_tiles and room:
            multiply(
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
    rule, p, first_slot, second_slot, factors, constants,
):  # fmt: skip
    """Update p (m, n) by a rule with the gradient A B, some rows at a time; g is scratch."""
    real = like.dtype
    a_row, a_step = (1, lda) if a_turned else (lda, 1)
    panels, tiles = room + BYTES * ROWS * WIDTH, (m + ROWS - 1) // ROWS
    one, zero = types.float32(1), types.float32(0)
    _pack_right(b_turned, n, k, b, ldb, panels)
    for tile in range(tiles):
        i, stop = m * tile // tiles, m * (tile + 1) // tiles
        at = BYTES * i * n
        for first in range(0, n, AHEAD):
            last = min(first + AHEAD, n)
            for vector in (p, first_slot, second_slot):
                for row in range(stop - i):
                    start = vector + at + BYTES * (row * n + first)
                    prefetch_all(start, BYTES * (last - first))
            _multiply_rows(
                one, zero, stop - i, first, last, k, a + BYTES * i * a_row, a_row, a_step,
                b_turned, b, ldb, panels, room, g, n,
            )  # fmt: skip
        size = (stop - i) * n
        update(
            rule, numba.carray(pointer(p + at), size, real), numba.carray(pointer(g), size, real),
            numba.carray(pointer(first_slot + at), size, real),
            numba.carray(pointer(second_slot + at), size, real),
            numba.carray(pointer(factors), 3, np.float64), constants,
        )  # fmt: skip
