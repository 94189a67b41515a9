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

# Chunks between two trials, and the first chunks, which take longer in any case.
SHORTEST, LONGEST, COLD = 8, 256, 1
SHARE = 0.02  # of the time, which trials may cost


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
    """Says who computes the next chunk: one thread alone, or all threads together.

    What was faster goes on, and the other is tried for a chunk now and then: half as often after
    each time that it was slower, and so seldom that trials cost a small share of the time. One
    thread alone is tried only if threads waited in vain. That may also be because their shares of a
    large network take unequal times, so time decides.

    Attributes
    ----------
    alone
        Whether one thread computes the next chunk.
    """

    def __init__(self) -> None:
        self.alone = False
        self._is_trial = False
        self._seconds = {False: 0.0, True: 0.0}  # that the last chunk took, by `alone`
        self._pause, self._left = SHORTEST, COLD

    def took(self, seconds: float, in_vain: bool) -> None:
        """Take note of how long a chunk took, and whether threads waited in vain."""
        self._seconds[self.alone] = seconds
        if self._is_trial:
            usual = self._seconds[not self.alone]
            if seconds < usual:
                self._pause = SHORTEST
            else:
                self.alone = not self.alone
                # In chunks. A coarse clock may count 0 seconds.
                lost = (seconds - usual) / max(usual, 1e-9)
                self._pause = min(max(2 * self._pause, round(lost / SHARE)), LONGEST)
            self._is_trial, self._left = False, self._pause
        elif self._left > 0:
            self._left -= 1
        elif self.alone or in_vain:
            self.alone = not self.alone
            self._is_trial = True
