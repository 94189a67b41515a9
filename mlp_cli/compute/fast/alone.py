"""Chunks that one thread computes alone, where threads would wait for each other in vain.

If another program takes a core, the worker on that core comes late to every barrier, and two
threads are slower than one. One thread then computes what all workers would: from barrier to
barrier, the lines of each worker in turn. They are the same lines, so the results are the same to
the last bit, whoever runs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlp_cli.compute.fast.opcodes import OPERATIONS, Barrier
from mlp_cli.nn.buffers import Numbers

Packed = tuple[NDArray[np.int64], Numbers]  # lines, and their constants

LONGEST = 64  # chunks that are computed alone before the threads try again


def in_turn(packed: Sequence[Packed]) -> Packed:
    """Return one program of the lines of all workers, without barriers.

    The programs have equally many barriers, and no line of a worker needs what another worker wrote
    after the last of them.
    """
    in_order = [part for parts in zip(*map(_cut, packed), strict=True) for part in parts]
    lines, constants = (np.concatenate(each) for each in zip(*in_order, strict=True))
    return lines, constants


def _cut(program: Packed) -> list[Packed]:
    """Return what lies before, between and after the barriers of a program."""
    lines, constants = program
    barriers = np.flatnonzero(lines[:, 0] == OPERATIONS.index(Barrier)).tolist()
    starts, ends = [0, *(at + 1 for at in barriers)], [*barriers, len(lines)]
    places = map(slice, starts, ends)
    return [(lines[at], constants[at]) for at in places]


class Turns:
    """Says which chunks one thread computes alone: more and more, as long as threads wait in vain.

    After the first chunk in which they did, one chunk is computed alone, then the threads try
    again; each time in vain doubles the number, and each success halves it.
    """

    def __init__(self) -> None:
        self._next, self._left = 1, 0

    def is_alone(self) -> bool:
        """Return whether the next chunk is computed alone."""
        self._left -= 1
        return self._left >= 0

    def tried(self, in_vain: bool) -> None:
        """Take note of how it went when all threads computed a chunk."""
        if in_vain:
            self._left, self._next = self._next, min(2 * self._next, LONGEST)
        else:
            self._left, self._next = 0, max(self._next // 2, 1)
