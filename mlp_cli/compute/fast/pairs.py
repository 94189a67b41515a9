"""The factors of products of bfloat16: two numbers of a sum as a pair, in the place of one number.

A processor with AVX-512 BF16 multiplies two pairs, and adds both products to a sum in float32, as
fast as it multiplies two numbers. Both factors are rounded to bfloat16 as they are packed:

    A by rows       pairs of neighbours in memory
    A by columns    a line for each pair of columns, with PAIRS rows
    B               in panels, a line for each pair of rows, with WIDTH columns

A number that is missing, beside a matrix or beyond the end of an odd sum, counts as 0.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_cli.compute.fast.intrinsics import jit, part, prefetch, prefetch_all, stay_apart
from mlp_cli.compute.fast.tiles import tile_by, turn_square
from mlp_cli.compute.fast.tiling import BYTES, DEPTH, PAIRS, ROWS, WIDTH, pairs_in
from mlp_cli.compute.fast.vectors import (
    load_numbers,
    number_at,
    put_number,
    store_numbers,
    vector_type,
)

LONGEST = 2 * DEPTH  # sum over one block

# The room of a product: a corner, two lines or a square to pack, a square of pairs, some rows of A,
# and the panels of B. `tiling.room_for_pairs` is its size.
_SQUARE = BYTES * ROWS * WIDTH
_PAIRED = _SQUARE + BYTES * 2 * PAIRS * PAIRS
_ROWS = _PAIRED + BYTES * PAIRS * PAIRS
_PANELS = _ROWS + BYTES * max(ROWS, PAIRS) * DEPTH

llvmlite.binding.initialize_native_asmparser()
_VECTOR = vector_type(PAIRS)
# LLVM has functions for both instructions. Their types differ between its versions.
_MULTIPLY_ADD = ir.InlineAsm(
    ir.FunctionType(_VECTOR, [_VECTOR] * 3), "vdpbf16ps $3, $2, $0", "=v,0,v,v"
)
_ROUND = ir.InlineAsm(
    ir.FunctionType(_VECTOR, [_VECTOR] * 2), "vcvtne2ps2bf16 $1, $2, $0", "=v,v,v"
)


def _multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return builder.call(_MULTIPLY_ADD, [z, x, y])


def _packer(places: list[int]) -> Any:
    """Return what rounds two vectors of numbers to bfloat16, and stores them as one of pairs.

    `places` is the order: the first vector has the places from 0, and the second from PAIRS.
    """
    halves = ir.VectorType(ir.IntType(16), 2 * PAIRS)
    order = ir.Constant(ir.VectorType(ir.IntType(32), 2 * PAIRS), places)

    @intrinsic
    def pack(_, first, second, out):
        def build(context, builder, signature, args):
            numbers = [load_numbers(builder, address, _VECTOR) for address in args[:2]]
            rounded = builder.bitcast(builder.call(_ROUND, numbers), halves)
            pairs = builder.shuffle_vector(rounded, ir.Constant(halves, ir.Undefined), order)
            store_numbers(builder, args[2], builder.bitcast(pairs, _VECTOR))
            return context.get_dummy_value()

        w = types.intp
        return types.void(w, w, w), build

    return pack


_pack_neighbours = _packer([*range(2 * PAIRS)])
_pack_lines = _packer([place for i in range(PAIRS) for place in (i, PAIRS + i)])

compute_tile = tile_by(_multiply_add)
_pairs_in = part(pairs_in)


@part
def lines_of(count):
    """Return how many lines of a panel hold this many numbers of a sum."""
    return (count + 1) // 2


@part
def _copy(source, size, out, whole):
    """Copy some numbers, and write 0 behind them, up to `whole`."""
    for place in range(whole):
        number = number_at(source + BYTES * place) if place < size else types.float32(0)
        put_number(out + BYTES * place, number)


@jit
def _pack_along(source, count, out, spare):
    """Write `count` numbers as pairs of neighbours, and 0 in the rest of the last vector."""
    stay_apart()
    for k in range(0, count, 2 * PAIRS):
        at = source + BYTES * k
        if count - k < 2 * PAIRS:
            _copy(at, count - k, spare, 2 * PAIRS)
            at = spare
        _pack_neighbours(at, at + BYTES * PAIRS, out + BYTES * (k // 2))


@jit
def _pack_across(source, lead, count, columns, out, out_lead, spare):
    """Write a line for each pair of `count` rows, which have WIDTH columns or fewer."""
    stay_apart()
    whole = PAIRS if columns <= PAIRS else 2 * PAIRS
    second = spare + BYTES * whole
    for k in range(0, count, 2):
        first, next_row = source + BYTES * k * lead, source + BYTES * (k + 1) * lead
        if columns < whole or k + 1 == count:
            _copy(first, columns, spare, whole)
            _copy(next_row, columns if k + 1 < count else 0, second, whole)
            first, next_row = spare, second
        for j in range(0, whole, PAIRS):
            at = BYTES * j
            _pack_lines(first + at, next_row + at, out + BYTES * (k // 2) * out_lead + at)


@jit
def pack_right(turned, n, count, b, ldb, room):
    """Pack B (count, n) in panels."""
    stay_apart()
    for j in range(0, n, WIDTH):
        panel, columns = room + _PANELS + BYTES * _pairs_in(count) * j, min(WIDTH, n - j)
        if not turned:
            _pack_across(b + BYTES * j, ldb, count, columns, panel, WIDTH, room + _SQUARE)
            continue
        for column in range(0, WIDTH, PAIRS):
            for k in range(0, count, 2 * PAIRS):
                for i in range(PAIRS):
                    size = min(2 * PAIRS, count - k) if column + i < columns else 0
                    source = b + BYTES * ((j + column + i) * ldb + k)
                    out = room + _PAIRED + BYTES * PAIRS * i
                    if size:
                        _pack_along(source, size, out, room + _SQUARE)
                    else:
                        _copy(source, 0, out, PAIRS)
                turn_square(
                    room + _PAIRED, BYTES * PAIRS,
                    panel + BYTES * (k // 2 * WIDTH + column), BYTES * WIDTH,
                )  # fmt: skip


@part
def panel_at(turned, j, whole, count, b, ldb, room):
    """Return where the panel of the columns from j begins, and its distance between lines."""
    return room + _PANELS + BYTES * _pairs_in(count) * j, BYTES * WIDTH


@part
def pack_left(turned, rows, beyond, count, a, lda, room):
    """Pack some rows of A; return where they lie, and their distances between rows and columns.

    `beyond` is the number of rows from the first of them to the end of A.
    """
    out = room + _ROWS
    if not turned:
        for i in range(rows):
            _pack_along(a + BYTES * i * lda, count, out + BYTES * DEPTH * i, room + _SQUARE)
        return out, BYTES * DEPTH, BYTES
    # The last rows are packed with those before them, to fill the lines.
    _pack_across(a, lda, count, min(PAIRS, beyond), out, PAIRS, room + _SQUARE)
    return out, BYTES, BYTES * PAIRS


@jit
def prefetch_left(turned, rows, count, a, lda, share, shares):
    """Ask for a share of some rows of A ahead, which are packed next."""
    stay_apart()
    if turned:
        for k in range(count * share // shares, count * (share + 1) // shares):
            at = a + BYTES * k * lda
            prefetch(at)
            prefetch(at + BYTES * (rows - 1))
    else:
        for i in range(rows * share // shares, rows * (share + 1) // shares):
            prefetch_all(a + BYTES * i * lda, BYTES * count)
