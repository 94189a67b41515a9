"""The operations that a training step is made of, as NumPy carries them out.

A step is a fixed sequence of operations on fixed buffers: the network, the optimizer and the reader
of the data call them in its order. The operations here do their work when they are called. Those
of `fast` take the same calls once, as a program, which compiled code then runs; so the sequence is
written down in one place only, and every step of a training can run through either.

Shapes and names as in `network`. This module imports NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mlp_cli.functions import Activation, Array, Loss

Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Block(NamedTuple):
    """What an update meets of each vector: p, g, the rule's slots, scratch, and the decay λ."""

    p: Array
    g: Array
    slots: Sequence[Array]
    s: Array
    decay: float


class Rule(Protocol):
    """An update rule: its name, its constants, and what it does to a block."""

    name: str

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers that are the same in every step."""

    def update(self, block: Block, factors: Numbers) -> None:
        """Update the block's parameters with a step's factors."""


def alone(part: int) -> None:
    """Meet nobody: the way to meet of a thread that computes the whole."""


class Operations:
    """NumPy's operations, each done as it is called.

    Parameters
    ----------
    meet
        What a member of a team calls, with its number, to wait for the others.
    """

    def __init__(self, meet: Callable[[int], None] = alone) -> None:
        self.meet = meet

    def product(self, left: Array, right: Array, out: Array) -> None:
        """Write the matrix product of (m, k) and (k, n), or (k,), to `out`."""
        np.matmul(left, right, out=out)

    def activate(self, f: Activation, z: Array, b: Array, s: Array) -> None:
        """Turn z (K, m), still without the biases b (m,), into a = f(z + b)."""
        np.add(z, b, out=z)
        f.apply(z, s)

    def derive(self, f: Activation, delta: Array, a: Array, s: Array) -> None:
        """Multiply delta (K, m) by f′(z), known from a (K, m)."""
        f.backward(delta, a, s)

    def error(self, loss: Loss, z: Array, y: Array, delta: Array, s: Array) -> None:
        """Write δ_L (K, c) for z (K, c) and y (K, c)."""
        loss.delta(z, y, delta, s)

    def count(
        self, loss: Loss, z: Array, y: Array, labels: Pixels, losses: Array, right: Flags, s: Array
    ) -> None:
        """Write each example's loss (K,), and whether its largest z is at its label, (K,)."""
        losses[...] = loss.values(z, y)
        np.equal(z.argmax(axis=1), labels, out=right)

    def update(self, rule: Rule, block: Block, factors: Numbers) -> None:
        """Update a block of parameters."""
        rule.update(block, factors)

    def sum_squares(self, pieces: Sequence[Array], total: Numbers) -> None:
        """Write Σ g² over all pieces to `total` (1,)."""
        total[0] = sum(float(np.dot(g, g)) for g in pieces)

    def clip(self, pieces: Sequence[Array], limit: float, squares: Numbers) -> None:
        """Shrink the pieces where the root of all the `squares` is above the limit."""
        norm = float(np.sqrt(squares.sum()))
        # A norm that is not finite is left alone: the weights follow it, and training stops loudly.
        if limit < norm < np.inf:
            for g in pieces:
                np.multiply(g, limit / norm, out=g)

    def read(
        self,
        images: Pixels,
        rows: Rows,
        soon: Rows,
        x: Array,
        scale: Array,
        shift: Array,
        s: Pixels,
    ) -> None:
        """Write rows (K,) of images (N, n), times `scale` and less `shift`, to x (K, n).

        The rows `soon` are those of the next call, which may be fetched ahead.
        """
        # mode="clip" writes straight into `out`; the default mode goes through a copy.
        np.take(images, rows, axis=0, out=s, mode="clip")
        np.copyto(x, s)  # a cast in a pass of its own: inside `multiply` it is buffered
        np.multiply(x, scale, out=x)
        if shift.any():
            np.subtract(x, shift, out=x)

    def look_up(
        self, labels: Pixels, rows: Rows, found: Pixels, one_hot: Array, y: Array, s: Rows
    ) -> None:
        """Write rows (K,) of labels (N,) to `found` (K,), and their lines of `one_hot` to y."""
        np.take(labels, rows, out=found, mode="clip")
        np.copyto(s, found)  # `take` would make an array for the cast
        np.take(one_hot, s, axis=0, out=y, mode="clip")


NUMPY = Operations()

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
