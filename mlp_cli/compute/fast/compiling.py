"""Compiles the interpreter to machine code. This alone takes Numba."""

from __future__ import annotations

import numba
from numba import types

from mlp_cli.compute.fast.interpreter import execute
from mlp_cli.compute.fast.machine_code import MachineCode
from mlp_cli.compute.fast.opcodes import CONSTANTS, OPERANDS


def run(lines, n, constants, like):
    """Run n lines of a program, as `machine_code.Run`."""
    execute(
        numba.carray(lines, (n, OPERANDS)),
        numba.carray(constants, (n, CONSTANTS)),
        numba.carray(like, 1),
    )


def compile_interpreter(dtype: str) -> MachineCode:
    """Compile the interpreter for parameters of the type of this name."""
    return compile_function(run, getattr(types, dtype))


def compile_function(function, real) -> MachineCode:
    """Compile a function of the arguments of `machine_code.Run`; the last is a pointer to `real`.

    An exception in it ends the process.
    """
    numbers = types.CPointer(types.int64), types.intp, types.CPointer(types.float64)
    signature = types.void(*numbers, types.CPointer(real))
    compiled = numba.cfunc(signature, error_model="numpy")(function)
    library = compiled._library
    module = library._final_module
    declared = [
        each.name
        for each in (*module.functions, *module.global_variables)
        if each.is_declaration and not each.name.startswith("llvm.")
    ]
    return MachineCode(compiled.native_name, declared, library._get_compiled_object())
