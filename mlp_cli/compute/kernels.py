"""Ways to run the operations of a training: by NumPy here, or by compiled code in `fast`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from mlp_cli.nn.ops import Ops

# Calls the operations that it is given, as a worker with this number.
Program = Callable[[Ops, int], None]

# Takes a message for the user.
Note = Callable[[str], None]

# Runs a program that was prepared, as a worker with this number.
Task = Callable[[int], None]


def say_nothing(message: str) -> None:
    """Show a message to nobody."""


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
    skips_zeros
        Whether a program that it prepared computes the first layer without the zeros of its inputs.
    """

    name: str
    reads: int
    skips_zeros: bool

    def compile(self, dtype: np.dtype[Any], warn: Note, log: Note) -> None:
        """Compile for parameters of this type, or load what was compiled before.

        If that takes long, `warn` says so before it begins, and `log` says how it ended.
        """

    def is_ready(self, dtype: np.dtype[Any]) -> bool:
        """Return whether `compile` would find code that is compiled already."""

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Task:
        """Return the task that runs the program.

        The program must be the same sequence on the same arrays at every call.
        """


class NumPyKernels:
    """Each operation is a few calls of NumPy, made anew at every step."""

    name = "numpy"
    skips_zeros = False
    reads = 1024  # a call takes about as long for a few rows as for one

    def compile(self, dtype: np.dtype[Any], warn: Note, log: Note) -> None:
        """Do nothing: NumPy is compiled."""

    def is_ready(self, dtype: np.dtype[Any]) -> bool:
        """Return True."""
        return True

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Task:
        """Return the task that runs the program."""
        ops = Ops(workers.barrier)

        def run(worker: int) -> None:
            # The trainer looks for numbers that overflow, and reports them.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                program(ops, worker)

        return run
