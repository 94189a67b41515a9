"""The compiled kernels: a program is recorded once, and then runs as compiled code."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.compute.fast.alone import Packed, Turns, in_turn
from mlp_cli.compute.fast.blas import ADDRESSES, MKL
from mlp_cli.compute.fast.cache import KernelCache
from mlp_cli.compute.fast.folder import find_folder
from mlp_cli.compute.fast.machine_code import MachineCode, Run
from mlp_cli.compute.fast.opcodes import BARRIER_WORDS, IN_VAIN
from mlp_cli.compute.fast.packing import Programs
from mlp_cli.compute.fast.panels import PanelMemory
from mlp_cli.compute.fast.recorder import Recorder, Shared
from mlp_cli.compute.fast.version import NUMBA, code_version
from mlp_cli.compute.kernels import Note, Prepared, Program, Workers, say_nothing
from mlp_cli.compute.select import kernel_errors


class _Replay:
    """Runs the programs of all workers, and keeps what they need alive.

    `counter` is that of their barriers.
    """

    def __init__(
        self,
        run: Run,
        programs: Programs,
        workers: Workers,
        counter: NDArray[np.int64],
        dtype: np.dtype[Any],
    ) -> None:
        self._run, self._workers, self._counter = run, workers, counter
        self._programs, self._like = programs, np.empty(1, dtype)
        self._turns = Turns()

    def __call__(self) -> None:
        self._counter[IN_VAIN] = 0
        alone = self._alone if self._turns.alone else None
        started = time.perf_counter()
        if alone is not None:
            self._run_program(alone)
        else:
            self._workers.run(self._run_own)
        self._turns.took(time.perf_counter() - started, bool(self._counter[IN_VAIN]))

    @cached_property
    def _alone(self) -> Packed:
        """The lines of all workers. Most trainings never need them."""
        return in_turn(self._programs.packed)

    def _run_own(self, worker: int) -> None:
        self._run_program(self._programs.packed[worker])

    def _run_program(self, program: Packed) -> None:
        lines, constants = program
        addresses = lines.ctypes.data, len(lines), constants.ctypes.data, self._like.ctypes.data
        self._run(*addresses)


class FastKernels:
    """The sequence of operations is recorded once, and then runs as compiled code."""

    name = f"numba {NUMBA}" + (f" with mkl {MKL.version}" if MKL else "")
    skips_zeros = skips_hidden_zeros = False  # until a program does
    reads = 1  # as few as possible: what was just read is still in the cache

    def __init__(self) -> None:
        self._memory: PanelMemory = {}

    def compile(self, dtype: np.dtype[Any], warn: Note, log: Note) -> None:
        """Compile for parameters of this type, or load what was compiled before."""
        kernel_cache(dtype.name).load(warn, log)

    def is_ready(self, dtype: np.dtype[Any]) -> bool:
        """Return whether `compile` would find code that is compiled already."""
        return kernel_cache(dtype.name).is_ready()

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Prepared:
        """Return what runs the program in all workers."""
        run = kernel_cache(dtype.name).load(say_nothing, say_nothing)
        counter = np.zeros(BARRIER_WORDS, np.int64)
        shared = Shared()
        recorders = [
            Recorder(counter, workers.size, worker, shared) for worker in range(workers.size)
        ]
        for worker, recorder in enumerate(recorders):
            program(recorder, worker)
        programs = Programs(recorders, dtype.itemsize, self._memory)
        self.skips_zeros |= programs.skips_zeros
        self.skips_hidden_zeros |= programs.skips_hidden_zeros
        return _Replay(run, programs, workers, counter, dtype)


@cache
def kernel_cache(dtype: str) -> KernelCache:
    """Return what loads and keeps the interpreter for parameters of the type of this name."""
    name = f"kernels-{dtype}-{code_version()}.bin"
    return KernelCache(
        name, find_folder(Path(__file__).parent), ADDRESSES, partial(_load_compiler, dtype)
    )


def _load_compiler(dtype: str) -> Callable[[], MachineCode]:
    """Import Numba, which `version` and `machine_code` do without.

    Raises
    ------
    ConfigError
        If Numba does not load.
    """
    with kernel_errors():
        from mlp_cli.compute.fast.compiling import compile_interpreter
    return partial(compile_interpreter, dtype)
