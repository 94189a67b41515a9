"""What computes a training: a team of threads, and the kernels that run its operations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlp_cli.compute.kernels import Kernels, Note, NumPyKernels, Prepared, Program, Task
from mlp_cli.compute.threads import ThreadTeam


class Engine(NamedTuple):
    """A team of threads and the kernels that they run."""

    threads: ThreadTeam
    kernels: Kernels

    @property
    def workers(self) -> int:
        """The number of threads."""
        return self.threads.size

    def compile(self, dtype: np.dtype[Any], warn: Note, log: Note) -> None:
        """Compile the kernels, or load what was compiled before; see `Kernels.compile`."""
        self.kernels.compile(dtype, warn, log)

    def prepare(self, program: Program, dtype: np.dtype[Any]) -> Prepared:
        """Return what runs a program for arrays of this type, in all threads."""
        return self.kernels.prepare(program, self.threads, dtype)

    def run(self, task: Task) -> None:
        """Run a task in all threads, and return when all have returned."""
        self.threads.run(task)


def numpy_engine() -> Engine:
    """Return one thread with NumPy's kernels: the engine of small work."""
    return Engine(ThreadTeam(1), NumPyKernels())
