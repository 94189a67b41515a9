"""Plain descent without a gradient: W ← (1 − η λ) W − η δᵀ a is one product.

Where the updates at a step's end are SGD's and nothing else reads the gradient, the products that
write it and the updates that read it become products onto the parameters themselves: one pass over
memory instead of three. Only the lines of a program change, never what wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mlp_cli.compute.fast import opcodes

Line = tuple[list[int], tuple[float, ...]]  # a code with its operands, and constants

_READERS = (opcodes.SUM_SQUARES, opcodes.CLIP)


class _Piece(NamedTuple):
    """Gradients that lie in memory from `start` to `stop`, and how they update the parameters."""

    start: int
    stop: int
    to_parameters: int  # from the address of a gradient to that of its parameter
    factors: int
    decay: float


def descend(lines: Sequence[Line], itemsize: int) -> list[Line]:
    """Return the lines of a program without the gradients that only SGD's updates would read."""
    done: list[Line] = []
    step: list[Line] = []
    for line in lines:
        if step and _is_update(step[-1]) and not _is_update(line):
            done += _rewrite(step, itemsize)
            step = []
        step.append(line)
    return done + _rewrite(step, itemsize)


def _is_update(line: Line) -> bool:
    return line[0][0] == opcodes.UPDATE


def _rewrite(step: list[Line], itemsize: int) -> list[Line]:
    """Rewrite the lines of one step, the last of which are its updates."""
    updates = [line for line in step if _is_update(line)]
    by_descent = all(numbers[1] == opcodes.SGD for numbers, _ in updates)
    if not by_descent or any(numbers[0] in _READERS for numbers, _ in step):
        return step
    before: list[Line] = []
    onto_parameters: list[Line] = []
    pieces = _pieces(updates, itemsize)
    for numbers, constants in step:
        if numbers[0] == opcodes.UPDATE:
            continue
        place = None
        if numbers[0] == opcodes.PRODUCT:
            *_, out, leading = numbers
            rows, columns = numbers[3:5]
            end = out + rows * columns * itemsize
            if leading == columns:  # without gaps
                place = next((p for p in pieces if p.start <= out and end <= p.stop), None)
        if place is None:
            before.append((numbers, constants))
            continue
        product = [*numbers[1:-2], out + place.to_parameters, leading]
        onto_parameters.append(([opcodes.DESCEND, *product, place.factors], (place.decay,)))
        pieces.remove(place)
        left = place._replace(stop=out), place._replace(start=end)
        pieces += [piece for piece in left if piece.start < piece.stop]
    return before + onto_parameters + [_update(piece, itemsize) for piece in pieces]


def _pieces(updates: Sequence[Line], itemsize: int) -> list[_Piece]:
    """Return what the updates cover, in as few pieces as can be."""
    pieces: list[_Piece] = []
    for (_, _, p, g, size, _, _, factors), (decay, *_) in sorted(
        updates, key=lambda line: line[0][3]
    ):
        piece = _Piece(g, g + size * itemsize, p - g, factors, decay)
        alike = bool(pieces) and pieces[-1][2:] == piece[2:]
        if alike and pieces[-1].stop == g:
            piece = piece._replace(start=pieces.pop().start)
        pieces.append(piece)
    return pieces


def _update(piece: _Piece, itemsize: int) -> Line:
    start, stop, to_parameters, factors, decay = piece
    size = (stop - start) // itemsize
    numbers = [opcodes.UPDATE, opcodes.SGD, start + to_parameters, start, size, start, start]
    return [*numbers, factors], (decay,)
