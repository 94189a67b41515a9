"""Ways to run the operations of a training: by NumPy here, or by compiled code in `fast`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from mlp_cli.nn.ops import Ops

# Calls the operations that it is given, as a worker with this number.
Program = Callable[[Ops, int], None]

# Runs a program that was prepared, as a worker with this number.
Task = Callable[[int], None]


class Workers(Protocol):
    """What kernels have to know of a team of threads."""

    size: int

    def barrier(self, worker: int) -> None:
        """Wait for the other workers."""


class Kernels(Protocol):
    """A way to run programs of operations.

    Attributes
    ----------
    name
        The name in the record of a run.
    reads
        The number of images that it reads best at once.
    compile_seconds
        How long compiling took, or loading what was compiled before.
    is_kept
        Whether what was compiled is kept for later processes.
    """

    name: str
    reads: int
    compile_seconds: float
    is_kept: bool

    def compile(self, dtype: np.dtype[Any]) -> None:
        """Compile for parameters of this type, or load what was compiled before."""

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Task:
        """Return the task that runs the program.

        The program must be the same sequence on the same arrays at every call.
        """


class NumPyKernels:
    """Each operation is a few calls of NumPy, made anew at every step."""

    name = "numpy"
    reads = 1024  # a call takes about as long for a few rows as for one
    compile_seconds = 0.0
    is_kept = True

    def compile(self, dtype: np.dtype[Any]) -> None:
        """Do nothing: NumPy is compiled."""

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Task:
        """Return the task that runs the program."""
        ops = Ops(workers.barrier)

        def run(worker: int) -> None:
            # The trainer looks for numbers that overflow, and reports them.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                program(ops, worker)

        return run
