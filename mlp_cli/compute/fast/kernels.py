"""The compiled kernels: a program is recorded once, and then runs as compiled code."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.caching import NullCache

from mlp_cli.compute.fast.blas import MKL
from mlp_cli.compute.fast.interpreter import execute
from mlp_cli.compute.fast.recorder import Recorder
from mlp_cli.compute.kernels import Program, Task, Workers
from mlp_cli.nn.buffers import Array
from mlp_cli.storage.files import storage_errors

if vars(numba.config)["DISABLE_JIT"]:  # an attribute that its module makes at run time
    raise ImportError("NUMBA_DISABLE_JIT turns compiling off")


class _Replay:
    """Runs the recorded program of a worker, by its number, and keeps its arrays alive."""

    def __init__(self, recorders: Sequence[Recorder], like: Array) -> None:
        self._recorders = recorders
        self._programs = [recorder.program(like.itemsize) for recorder in recorders]
        self._like = like

    def __call__(self, worker: int) -> None:
        lines, constants = self._programs[worker]
        execute(lines, constants, self._like)


def _compile(like: Array) -> None:
    """Compile `execute` for the type of the parameters, or load what was compiled before.

    Numba caches what it compiled as pickles that it does not force to disk, so a loss of power
    tears them. If they do not load, or the new ones do not fit on the disk, they are removed.

    Raises
    ------
    StorageError
        If they cannot be removed.
    """
    nothing = Recorder(np.zeros(1, np.int64), 1).program(like.itemsize)
    try:
        execute(*nothing, like)
    except (OSError, EOFError, pickle.UnpicklingError):
        folder = Path(execute.stats.cache_path)
        with storage_errors("repair the compiled kernels in", folder):
            for file in folder.glob("interpreter.*"):
                file.unlink(missing_ok=True)
        with suppress(OSError):  # on a full disk it is compiled all the same, and not cached
            execute(*nothing, like)


class FastKernels:
    """The sequence of operations is recorded once, and then runs as compiled code."""

    name = f"numba {numba.__version__}" + (f" with mkl {MKL.version}" if MKL else "")
    reads = 1  # as few as possible: what was just read is still in the cache

    is_kept = not isinstance(execute._cache, NullCache)

    def __init__(self) -> None:
        self.compile_seconds = 0.0

    def compile(self, dtype: np.dtype[Any]) -> None:
        """Compile for parameters of this type, or load what was compiled before."""
        started = time.perf_counter()
        _compile(np.empty(0, dtype))
        self.compile_seconds += time.perf_counter() - started

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Task:
        """Return the task that runs the program."""
        self.compile(dtype)
        counter = np.zeros(1, np.int64)
        recorders = [Recorder(counter, workers.size) for _ in range(workers.size)]
        for worker, recorder in enumerate(recorders):
            program(recorder, worker)
        return _Replay(recorders, np.empty(0, dtype))
