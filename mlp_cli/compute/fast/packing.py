"""Packs what was recorded into programs, with faster lines in place of some.

Only here are the programs of all workers together, as `skip_hidden` needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.compute.fast.fuse_updates import fuse_updates
from mlp_cli.compute.fast.image_opcodes import ErrorsLit, ForwardLit
from mlp_cli.compute.fast.opcodes import CONSTANTS, OPERANDS, OPERATIONS, Line
from mlp_cli.compute.fast.panels import PanelMemory
from mlp_cli.compute.fast.recorder import Recorder
from mlp_cli.compute.fast.skip_hidden import skip_hidden_zeros
from mlp_cli.compute.fast.skip_zeros import Rewriter
from mlp_cli.compute.fast.tiling import aligned_zeros
from mlp_cli.nn.buffers import Array, Numbers


class Programs:
    """The programs of all workers, each as `execute` takes it: its lines, and their constants.

    Attributes
    ----------
    packed
        The lines (n, OPERANDS) and the constants (n, CONSTANTS) of each worker.
    skips_zeros, skips_hidden_zeros
        Whether they do without the zeros of the inputs, and of hidden layers.
    """

    def __init__(self, recorders: Sequence[Recorder], itemsize: int, memory: PanelMemory) -> None:
        """Pack what the workers recorded, for parameters of `itemsize` bytes."""
        programs = []
        self._alive: list[Any] = [memory, *recorders]
        for worker, recorder in enumerate(recorders):
            rewriter = Rewriter(worker, len(recorders), recorder.own, memory)
            programs.append(rewriter.rewrite(fuse_updates(recorder.lines, itemsize)))
        self.skips_zeros = _use(programs, ForwardLit)
        programs, buffers = skip_hidden_zeros(programs, recorders[0].shared.outputs, memory)
        self.skips_hidden_zeros = _use(programs, ErrorsLit)
        self._alive += buffers
        self.packed = [self._pack(lines) for lines in programs]

    def _pack(self, lines: Sequence[Line]) -> tuple[NDArray[np.int64], Numbers]:
        lines, room = _with_room(lines)
        self._alive.append(room)
        packed = np.zeros((len(lines), OPERANDS), np.int64)
        constants = np.zeros((len(lines), CONSTANTS))
        for i, line in enumerate(lines):
            packed[i, 0] = OPERATIONS.index(type(line.operation))
            packed[i, 1 : 1 + len(line.operation)] = line.operation
            constants[i, : len(line.constants)] = line.constants
        return packed, constants


def _with_room(lines: Sequence[Line]) -> tuple[list[Line], Array]:
    """Return the lines with the address of room for products in place of its size, and the room.

    A worker runs one line after the other, so one room is enough.
    """
    sizes = [getattr(line.operation, "room", 0) for line in lines]
    room = aligned_zeros(max(sizes, default=0))
    with_room = [
        line._replace(operation=line.operation._replace(room=room.ctypes.data)) if size else line
        for line, size in zip(lines, sizes, strict=True)
    ]
    return with_room, room


def _use(programs: Sequence[Sequence[Line]], operation: type[Any]) -> bool:
    return any(isinstance(line.operation, operation) for lines in programs for line in lines)
