"""Vectors of float32 for compiled code, as wide as the processor's registers allow.

Numba vectorises plain loops by itself, but it does not keep a tile of a matrix in registers, and it
cannot skip zeros. The kernels of `products` and `first_layer` say themselves what is in a register.
A vector may be wider than a register: LLVM then takes several.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from mlp_cli.compute.fast.settings import SETTINGS

NUMBER = ir.FloatType()
BYTES = 4  # of a number


def _register() -> tuple[int, int]:
    """Return how many numbers a register of the processor holds, and how many registers it has."""
    features = SETTINGS["CPU_FEATURES"]
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
    if SETTINGS["CPU_NAME"] == "generic":
        features = ""
    present = features.split(",")
    if "+avx512f" in present:
        return 16, 32
    if "+avx2" in present and "+fma" in present:
        return 8, 16
    return (4, 32) if "+neon" in present else (4, 16)


LANES, REGISTERS = _register()


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
