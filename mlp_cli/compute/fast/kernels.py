"""The compiled kernels: a program is recorded once, and then runs as compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from mlp_cli.compute.fast.blas import MKL
from mlp_cli.compute.fast.interpreter import cache, execute
from mlp_cli.compute.fast.intrinsics import BARRIER_WORDS
from mlp_cli.compute.fast.recorder import Recorder
from mlp_cli.compute.kernels import Note, Program, Task, Workers, say_nothing
from mlp_cli.nn.buffers import Array, Numbers, Rows


class _Replay:
    """Runs the recorded program of a worker, by its number, and keeps its arrays alive."""

    def __init__(self, recorders: Sequence[Recorder], like: Array) -> None:
        self._recorders = recorders
        self._programs = [recorder.program(like.itemsize) for recorder in recorders]
        self._like = like

    def __call__(self, worker: int) -> None:
        lines, constants = self._programs[worker]
        execute(lines, constants, self._like)


class FastKernels:
    """The sequence of operations is recorded once, and then runs as compiled code."""

    name = f"numba {numba.__version__}" + (f" with mkl {MKL.version}" if MKL else "")
    reads = 1  # as few as possible: what was just read is still in the cache

    def compile(self, dtype: np.dtype[Any], warn: Note, log: Note) -> None:
        """Compile for parameters of this type, or load what was compiled before."""
        with cache.reporting(warn, log):
            execute(*_nothing(dtype))

    def is_ready(self, dtype: np.dtype[Any]) -> bool:
        """Return whether `compile` would find code that is compiled already."""
        return cache.is_ready(tuple(map(numba.typeof, _nothing(dtype))))

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Task:
        """Return the task that runs the program."""
        self.compile(dtype, say_nothing, say_nothing)
        counter = np.zeros(BARRIER_WORDS, np.int64)
        recorders = [Recorder(counter, workers.size) for _ in range(workers.size)]
        for worker, recorder in enumerate(recorders):
            program(recorder, worker)
        return _Replay(recorders, np.empty(0, dtype))


def _nothing(dtype: np.dtype[Any]) -> tuple[Rows, Numbers, Array]:
    """Return arguments with which `execute` does nothing, for parameters of this type."""
    lines, constants = Recorder(np.zeros(1, np.int64), 1).program(dtype.itemsize)
    return lines, constants, np.empty(0, dtype)
