"""Writes the lines of a program."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlp_cli.compute.fast.image_opcodes import with_addresses
from mlp_cli.compute.fast.opcodes import Line


class Writer:
    """Writes down operations, for the recorders of each kind of them.

    Attributes
    ----------
    lines
        What was written.
    arrays
        What the lines need, kept alive.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.arrays: list[Any] = []

    def write(self, operation: Any, *constants: float) -> None:
        """Write an operation down, with the addresses of its arrays."""
        self.arrays += [operand for operand in operation if isinstance(operand, np.ndarray)]
        self.lines.append(Line(with_addresses(operation), constants))
