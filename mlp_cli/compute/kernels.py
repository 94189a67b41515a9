"""Ways to run the operations of a training: by NumPy here, or by compiled code in `fast`.

Tried for NumPy, and left out:

- The first layer's products over those pixels alone that are not 0 throughout a minibatch. To
  gather these columns of W (m, n), and to put those of ΔW back, took what the shorter products
  saved. From a copy of Wᵀ, made for a chunk of minibatches, it was faster for plain SGD. But an
  examination of a step would then have other last bits than the step.
- Smaller blocks in the update, and fewer images in a read: more calls for the same work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

import numpy as np

from mlp_cli.nn.buffers import Array
from mlp_cli.nn.ops import Ops

# A function, and the arguments to call it with.
Call = tuple[Callable[..., object], tuple[Any, ...]]

# Calls the operations that it is given, as a worker with this number.
Program = Callable[[Ops, int], None]

# Takes a message for the user.
Note = Callable[[str], None]

# Does the share of a worker with this number.
Task = Callable[[int], None]

# Runs a program that was prepared, and returns when all workers have.
Prepared = Callable[[], None]


def say_nothing(message: str) -> None:
    """Show a message to nobody."""


class Workers(Protocol):
    """What kernels have to know of a team of threads."""

    size: int

    def run(self, task: Task) -> None:
        """Run a task in all workers, and return when all have returned."""

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
    skips_hidden_zeros
        The same of a layer above it, whose inputs are neurons.
    """

    name: str
    reads: int
    skips_zeros: bool
    skips_hidden_zeros: bool

    def compile(self, dtype: np.dtype[Any], warn: Note, log: Note) -> None:
        """Compile for parameters of this type, or load what was compiled before.

        If that takes long, `warn` says so before it begins, and `log` says how it ended.
        """

    def is_ready(self, dtype: np.dtype[Any]) -> bool:
        """Return whether `compile` would find code that is compiled already."""

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Prepared:
        """Return what runs the program in all workers.

        The program must be the same sequence on the same arrays at every call.
        """


class _CallList:
    """Notes the operations that it is asked for, and does none.

    To repeat the notes is quicker than to repeat the program, which makes its views of the arrays
    anew at every step.
    """

    def __init__(self, ops: Ops) -> None:
        self._ops = ops
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return partial(self._note, getattr(self._ops, name))

    def _note(self, function: Callable[..., object], *arguments: Any) -> None:
        self.calls.append((function, arguments))


def _product(left: Array, right: Array, out: Array) -> Call:
    """Return the quickest call for a product: `dot` calls BLAS sooner, but writes by rows only."""
    if out.flags.c_contiguous:
        return np.dot, (left, right, out)
    if out.flags.f_contiguous:
        return np.dot, (right.T, left.T, out.T)  # (A B)ᵀ = Bᵀ Aᵀ
    return np.matmul, (left, right, out)


class NumPyKernels:
    """Each operation is a few calls of NumPy. Which operations, with what, is noted once."""

    name = "numpy"
    skips_zeros = skips_hidden_zeros = False
    reads = 1024  # a call takes about as long for a few rows as for one

    def compile(self, dtype: np.dtype[Any], warn: Note, log: Note) -> None:
        """Do nothing: NumPy is compiled."""

    def is_ready(self, dtype: np.dtype[Any]) -> bool:
        """Return True."""
        return True

    def prepare(self, program: Program, workers: Workers, dtype: np.dtype[Any]) -> Prepared:
        """Return what runs the program in all workers."""
        ops = Ops(workers.barrier)
        lists = []
        for worker in range(workers.size):
            noted = _CallList(ops)
            program(cast(Ops, noted), worker)
            lists.append([_product(*a) if f == ops.product else (f, a) for f, a in noted.calls])

        def run(worker: int) -> None:
            # The trainer looks for numbers that overflow, and reports them.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                for function, arguments in lists[worker]:
                    function(*arguments)

        return partial(workers.run, run)
