"""Ways to run the operations of a training: each by NumPy, or another that `run` chooses.

This module imports NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from mlp_cli.nn.ops import Operations

# What a member, by its number, does with the operations that it is given.
Work = Callable[[Operations, int], None]


class Meeting(Protocol):
    """What kernels have to know of a team."""

    size: int

    def meet(self, me: int) -> None:
        """Wait for the other members."""


class Kernels(Protocol):
    """A way to run sequences of operations.

    Attributes
    ----------
    name
        What the record of a run calls it.
    reads
        Rows of images that it likes to read at once.
    compile_seconds
        How long it took to make itself ready.
    """

    name: str
    reads: int
    compile_seconds: float

    def prepare(self, work: Work, team: Meeting, dtype: np.dtype[Any]) -> Callable[[int], None]:
        """Return what each member calls, with its number, to do the work.

        The work is the same sequence on the same arrays at every call.
        """


class NumPyKernels:
    """Each operation is a few calls of NumPy, made anew at every step."""

    name = "numpy"
    reads = 1024  # a call takes as long for a few rows as for one
    compile_seconds = 0.0

    def prepare(self, work: Work, team: Meeting, dtype: np.dtype[Any]) -> Callable[[int], None]:
        """Return what each member calls, with its number, to do the work."""
        operations = Operations(team.meet)

        def run(me: int) -> None:
            # Numbers that overflow are looked for, and reported, by the trainer.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                work(operations, me)

        return run
