"""Vectors of float32 for compiled code, as wide as the processor's registers allow.

Numba vectorises plain loops by itself, but it does not keep a tile of a matrix in registers, and it
cannot skip zeros. The kernels of `products` and `first_layer` say themselves what is in a register.
A vector may be wider than a register: LLVM then takes several.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from mlp_cli.compute.fast.tiling import BYTES, LANES

NUMBER = ir.FloatType()


class Vector(types.Type):
    """A vector of so many numbers."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(name=f"vector({size})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, vector_type(kind.size))


def vector_type(size: int) -> ir.VectorType:
    """Return LLVM's type of a vector."""
    return ir.VectorType(NUMBER, size)


def load_numbers(builder: Any, address: Any, kind: Any) -> Any:
    """Load what is at an address, of a type, and aligned as a number is."""
    loaded = builder.load(builder.inttoptr(address, kind.as_pointer()))
    loaded.align = BYTES
    return loaded


def store_numbers(builder: Any, address: Any, value: Any) -> None:
    """Store a value at an address that is aligned as a number is."""
    stored = builder.store(value, builder.inttoptr(address, value.type.as_pointer()))
    stored.align = BYTES


def spread_number(builder: Any, number: Any, size: int) -> Any:
    """Return a vector that holds one number in all places."""
    kind = vector_type(size)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), size), [0] * size)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), places)


def multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x y + z, rounded once if the processor can."""
    kind = x.type
    name = f"llvm.fmuladd.v{kind.count}f32"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, [x, y, z])


class Operations(NamedTuple):
    """What compiled code does with vectors of one size. Addresses are those of memory.

    `zero()`; `load(address)`; `spread(number)`, it in all places;
    `store(address, x)`; `add(x, y)`; `multiply(x, y)`; `multiply_add(x, y, z)`, x y + z;
    `total(x)`, the sum of its numbers.
    """

    zero: Any
    load: Any
    spread: Any
    store: Any
    add: Any
    multiply: Any
    multiply_add: Any
    total: Any


def operations(size: int) -> Operations:
    """Return the operations on vectors of so many numbers."""
    kind, vector = vector_type(size), Vector(size)

    @intrinsic
    def zero(_):
        return vector(), lambda context, builder, signature, args: ir.Constant(kind, None)

    @intrinsic
    def load(_, address):
        def build(context, builder, signature, args):
            return load_numbers(builder, args[0], kind)

        return vector(types.intp), build

    @intrinsic
    def spread(_, number):
        def build(context, builder, signature, args):
            return spread_number(builder, args[0], size)

        return vector(types.float32), build

    @intrinsic
    def store(_, address, x):
        def build(context, builder, signature, args):
            store_numbers(builder, *args)
            return context.get_dummy_value()

        return types.void(types.intp, vector), build

    @intrinsic
    def add(_, x, y):
        return vector(vector, vector), lambda context, builder, signature, args: builder.fadd(*args)

    @intrinsic
    def multiply(_, x, y):
        return vector(vector, vector), lambda context, builder, signature, args: builder.fmul(*args)

    @intrinsic
    def fused(_, x, y, z):
        def build(context, builder, signature, args):
            return multiply_add(builder, *args)

        return vector(vector, vector, vector), build

    @intrinsic
    def total(_, x):
        def build(context, builder, signature, args):
            (x,), integer = args, ir.IntType(32)
            half = size // 2
            while half:  # the halves are added, until there is one number
                low, high = (
                    ir.Constant(ir.VectorType(integer, half), [*range(start, start + half)])
                    for start in (0, half)
                )
                x = builder.fadd(*(builder.shuffle_vector(x, x, places) for places in (low, high)))
                half //= 2
            return builder.extract_element(x, integer(0))

        return types.float32(vector), build

    return Operations(zero, load, spread, store, add, multiply, fused, total)


@intrinsic
def nonzero(_, address):
    """Return which of the LANES numbers at an address are not 0, as the bits of a whole number."""

    def build(context, builder, signature, args):
        kind = vector_type(LANES)
        numbers = load_numbers(builder, args[0], kind)
        bits = builder.fcmp_unordered("!=", numbers, ir.Constant(kind, None))
        return builder.zext(builder.bitcast(bits, ir.IntType(LANES)), ir.IntType(64))

    return types.uint64(types.intp), build


@intrinsic
def find_nonzero_rows(_, address, row, count, out):
    """Write, for each of LANES columns, the bits of those of `count` rows in which it is not 0.

    There are at most 32 rows, `row` bytes apart. `out` gets a word of 32 bits for each column.
    """
    integer, numbers = ir.IntType(32), vector_type(LANES)
    kind = ir.VectorType(integer, LANES)

    def build(context, builder, signature, args):
        address, row, count, out = args
        place = cgutils.alloca_once_value(builder, address)
        found = cgutils.alloca_once_value(builder, ir.Constant(kind, None))
        bit = cgutils.alloca_once_value(builder, ir.Constant(kind, [1] * LANES))
        with cgutils.for_range(builder, count):
            at, mark, before = (builder.load(each) for each in (place, bit, found))
            lit = builder.fcmp_unordered(
                "!=", load_numbers(builder, at, numbers), ir.Constant(numbers, None)
            )
            marked = builder.select(lit, mark, ir.Constant(kind, None))
            builder.store(builder.or_(before, marked), found)
            builder.store(builder.add(mark, mark), bit)
            builder.store(builder.add(at, row), place)
        store_numbers(builder, out, builder.load(found))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), build


@intrinsic
def lowest(_, bits):
    """Return the place of the lowest bit that is set."""

    def build(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.uint64), build


@intrinsic
def number_at(_, address):
    """Return the number at an address."""

    def build(context, builder, signature, args):
        return load_numbers(builder, args[0], NUMBER)

    return types.float32(types.intp), build


@intrinsic
def put_number(_, address, number):
    """Write a number to an address."""

    def build(context, builder, signature, args):
        store_numbers(builder, *args)
        return context.get_dummy_value()

    return types.void(types.intp, types.float32), build
