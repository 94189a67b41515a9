"""Machine code: how it stands in a file, and how a process loads it, by LLVM alone.

Numba takes half a second to load what it compiled, because it loads its compiler first. What it
compiled is an object file of the system, though, which LLVM loads in some milliseconds.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import import_module
from typing import NamedTuple

import llvmlite.binding as llvm

# Runs the lines of a program: the address of the lines (n, OPERANDS) int64, n, the address of their
# constants (n, CONSTANTS) float64, the address of a number of the type of the parameters.
Run = Callable[[int, int, int, int], None]
_PROTOTYPE = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p
)

# What the names of functions begin with by which code that Numba compiles raises exceptions, in
# Numba and in Python. The code of the kernels raises none, so it never calls them.
_OF_EXCEPTIONS = ("NRT_", "numba_", "Py", "_Py")

# What the names of Intel's SVML begin with, which Numba makes known to LLVM if it is installed.
_SVML = b"__svml_"


class MachineCode(NamedTuple):
    """The code of a function.

    Attributes
    ----------
    entry
        The name of the function.
    outside
        The names that the code uses and does not define, without those of the system's own
        functions that LLVM added.
    content
        An object file of the system.
    """

    entry: str
    outside: list[str]
    content: bytes

    def pack(self, name: str) -> bytes:
        """Return what a file of this name holds: a digest, a line of JSON, and the object file."""
        rest = json.dumps([self.entry, self.outside]).encode() + b"\n" + self.content
        return _digest(name, rest) + rest


def unpack(name: str, packed: bytes) -> MachineCode | None:
    """Return the code in a file of this name, None if the file is damaged or is another's."""
    size = sha256().digest_size
    digest, rest = packed[:size], packed[size:]
    if digest != _digest(name, rest):
        return None
    head, _, content = rest.partition(b"\n")
    entry, outside = json.loads(head)
    return MachineCode(entry, outside, content)


def _digest(name: str, rest: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + rest).digest()


def load_code(code: MachineCode, functions: Mapping[str, int]) -> Run:
    """Load code into the process, where it stays, and return its function.

    A call holds no lock of the interpreter.

    Parameters
    ----------
    code
        The code, made for this processor.
    functions
        The addresses of functions that it may call, by their names. It finds those of the C library
        itself.

    Raises
    ------
    LookupError
        If the code uses a name that is not known.
    """
    if _SVML in code.content and not import_module("numba").config.USING_SVML:
        raise LookupError("Numba does not find SVML")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    ours = {name for name in code.outside if name in functions or name.startswith(_OF_EXCEPTIONS)}
    # What is mapped is known to this engine alone, and not to what else this process compiles.
    declared = llvm.parse_assembly("".join(f'declare void @"{name}"()\n' for name in ours))
    engine = llvm.create_mcjit_compiler(declared, machine)
    for name in code.outside:  # LLVM ends the process if it does not find one
        if name in ours:
            address = functions.get(name) or _address_of("abort")
            engine.add_global_mapping(declared.get_function(name), address)
        else:
            _address_of(name)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.content))
    engine.finalize_object()
    run = _PROTOTYPE(engine.get_function_address(code.entry))
    engine.detach()  # it is never disposed of, because the code is its own
    return run


def _address_of(name: str) -> int:
    """Return the address of a function of the C library."""
    address: int | None = llvm.address_of_symbol(name)
    if address is None:
        raise LookupError(f"there is no function {name}")
    return address
