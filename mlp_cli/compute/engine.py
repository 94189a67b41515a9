"""What computes a training: a team of threads, and the kernels that run its operations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mlp_cli.compute.kernels import Kernels, NumPyKernels, Program, Task
from mlp_cli.compute.threads import ThreadTeam

# Seconds of compiling: before it is announced, and from which on it is worth a word afterwards.
ANNOUNCED_AFTER_S, WORTH_REPORTING_S = 1.0, 2.0


class Engine(NamedTuple):
    """A team of threads and the kernels that they run."""

    threads: ThreadTeam
    kernels: Kernels

    @property
    def workers(self) -> int:
        """The number of threads."""
        return self.threads.size

    def compile(self, dtype: np.dtype[Any], log: Callable[[str], None]) -> None:
        """Compile the kernels, or load what was compiled before; `log` it if it takes long."""
        kernels = self.kernels
        announcement = threading.Timer(
            ANNOUNCED_AFTER_S,
            log,
            ["Compiling the kernels, which takes about half a minute once on a machine …"],
        )
        announcement.daemon = True
        announcement.start()
        try:
            kernels.compile(dtype)
        finally:
            announcement.cancel()
        if kernels.compile_seconds > WORTH_REPORTING_S:
            then = "the next training finds them ready"
            if not kernels.is_kept:
                then = (
                    "no folder could be written to keep them, so the next training compiles them "
                    "again. Name a folder by NUMBA_CACHE_DIR"
                )
            log(f"Compiled the kernels in {kernels.compile_seconds:.0f} s; {then}.")

    def prepare(self, program: Program, dtype: np.dtype[Any]) -> Task:
        """Return the task that runs a program for arrays of this type."""
        return self.kernels.prepare(program, self.threads, dtype)

    def run(self, task: Task) -> None:
        """Run a task in all threads, and return when all have returned."""
        self.threads.run(task)


def numpy_engine() -> Engine:
    """Return one thread with NumPy's kernels: the engine of small work."""
    return Engine(ThreadTeam(1), NumPyKernels())
