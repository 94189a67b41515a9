"""What `run` chooses: the operations of a step written down once, and run as compiled code."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
import numpy as np

from mlp_cli.compute.fast.blas import MKL
from mlp_cli.compute.fast.interpreter import execute
from mlp_cli.compute.fast.recorder import Recorder
from mlp_cli.compute.kernels import Meeting, Work
from mlp_cli.nn.buffers import Array
from mlp_cli.storage.files import storage_errors


class _Replay:
    """The members' programs, each run by its number; and with them the arrays that they name."""

    def __init__(self, recorders: Sequence[Recorder], like: Array) -> None:
        self._recorders = recorders
        self._programs = [recorder.program(like.itemsize) for recorder in recorders]
        self._like = like

    def __call__(self, me: int) -> None:
        lines, constants = self._programs[me]
        execute(lines, constants, self._like)


def _compile(like: Array) -> None:
    """Compile `execute` for the parameters' type, or find what was compiled before.

    Numba keeps what it compiled as pickles that it does not force to disk: a loss of power tears
    them. Where they do not load, or the new ones do not fit on the disk, they are removed.

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
        with storage_errors("mend the compiled kernels in", folder):
            for file in folder.glob("interpreter.*"):
                file.unlink(missing_ok=True)
        with suppress(OSError):  # on a full disk it is compiled all the same, and not kept
            execute(*nothing, like)


class FastKernels:
    """The sequence of operations is written down once, and then runs as compiled code."""

    name = f"numba {numba.__version__}" + (f" with mkl {MKL.version}" if MKL else "")
    reads = 1  # as few as there can be: what is read now is met in the cache

    def __init__(self) -> None:
        self.compile_seconds = 0.0

    def prepare(self, work: Work, team: Meeting, dtype: np.dtype[Any]) -> Callable[[int], None]:
        """Return what each member calls, with its number, to do the work."""
        started = time.perf_counter()
        like = np.empty(0, dtype)
        _compile(like)
        self.compile_seconds += time.perf_counter() - started
        counter = np.zeros(1, np.int64)
        recorders = [Recorder(counter, team.size) for _ in range(team.size)]
        for me, recorder in enumerate(recorders):
            work(recorder, me)
        return _Replay(recorders, like)
