"""One tile of a matrix product, and one square of a transpose, in the processor's registers.

Addresses and distances are in bytes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mlp_cli.compute.fast.intrinsics import jit, stay_apart
from mlp_cli.compute.fast.tiling import BYTES, LANES, ROWS
from mlp_cli.compute.fast.vectors import (
    load_numbers,
    multiply_add,
    number_at,
    put_number,
    spread_number,
    store_numbers,
    vector_type,
)


def _tile(builder: Any, rows: int, vectors: int, operands: Any) -> None:
    """Write the code for one tile (rows, vectors · LANES)."""
    count, A, a_row, a_step, B, b_step, C, c_row, alpha, beta = operands
    kind, word = vector_type(LANES), count.type
    sums = [
        [cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in range(vectors)]
        for _ in range(rows)
    ]
    a_at, b_at = (cgutils.alloca_once_value(builder, start) for start in (A, B))
    starts = [builder.mul(a_row, word(i)) for i in range(rows)]
    distances = [word(BYTES * LANES * j) for j in range(vectors)]
    with cgutils.for_range(builder, count):
        a, b = builder.load(a_at), builder.load(b_at)
        row = [load_numbers(builder, builder.add(b, distance), kind) for distance in distances]
        for start, places in zip(starts, sums, strict=True):
            number = load_numbers(builder, builder.add(a, start), ir.FloatType())
            spread = spread_number(builder, number, LANES)
            for vector, place in zip(row, places, strict=True):
                total = multiply_add(builder, spread, vector, builder.load(place))
                builder.store(total, place)
        builder.store(builder.add(a, a_step), a_at)
        builder.store(builder.add(b, b_step), b_at)
    factor, keep = (spread_number(builder, each, LANES) for each in (alpha, beta))
    is_new = builder.fcmp_ordered("==", beta, ir.FloatType()(0))  # what is there may be anything
    for i, places in enumerate(sums):
        line = builder.add(C, builder.mul(c_row, word(i)))
        for distance, place in zip(distances, places, strict=True):
            at = builder.add(line, distance)
            total = builder.fmul(factor, builder.load(place))
            with builder.if_else(is_new) as (new, old):
                with new:
                    store_numbers(builder, at, total)
                with old:
                    before = load_numbers(builder, at, kind)
                    store_numbers(builder, at, multiply_add(builder, keep, before, total))


@intrinsic
def compute_tile(_, rows, vectors, count, A, a_row, a_step, B, b_step, C, c_row, alpha, beta):
    """Write a tile (rows, vectors · LANES) of C ← β C + α Σ_k A(i, k) B(k)."""

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
                _tile(builder, count, each, operands)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    f, w = types.float32, types.intp
    return types.void(w, w, w, w, w, w, w, w, w, w, f, f), build


@intrinsic
def _turn_square(_, source, row, out, out_row):
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
            _turn_square(
                source + BYTES * (i * row + j), BYTES * row,
                out + BYTES * (j * out_row + i), BYTES * out_row,
            )  # fmt: skip
    for i in range(lines):
        for j in range(whole_columns if i < whole_lines else 0, columns):
            put_number(out + BYTES * (j * out_row + i), number_at(source + BYTES * (i * row + j)))
