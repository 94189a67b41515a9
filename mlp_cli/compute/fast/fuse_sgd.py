"""Plain SGD without a gradient: W ← (1 − η λ) W − η δᵀ a is one product.

If the updates at the end of a step are plain SGD's, and nothing else reads the gradient, then the
products that write it and the updates that read it become products onto the parameters themselves:
one pass over memory instead of three. Only the lines of a program change, never the code that
recorded them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mlp_cli.compute.fast.opcodes import SGD, Clip, Descend, Line, Product, SumSquares, Update


class _Piece(NamedTuple):
    """Gradients that lie in memory from `start` to `stop`, and how they update the parameters."""

    start: int
    stop: int
    to_parameters: int  # from the address of a gradient to that of its parameter
    factors: int
    decay: float


def fuse_sgd(lines: Sequence[Line], itemsize: int) -> list[Line]:
    """Return the lines of a program without the gradients that only plain SGD would read."""
    fused: list[Line] = []
    step: list[Line] = []
    for line in lines:
        if step and _is_update(step[-1]) and not _is_update(line):
            fused += _rewrite(step, itemsize)
            step = []
        step.append(line)
    return fused + _rewrite(step, itemsize)


def _is_update(line: Line) -> bool:
    return isinstance(line.operation, Update)


def _rewrite(step: list[Line], itemsize: int) -> list[Line]:
    """Rewrite the lines of one step, the last of which are its updates."""
    updates = [line for line in step if _is_update(line)]
    is_sgd = all(line.operation.rule == SGD for line in updates)
    if not is_sgd or any(isinstance(line.operation, SumSquares | Clip) for line in step):
        return step
    before: list[Line] = []
    onto_parameters: list[Line] = []
    pieces = _pieces(updates, itemsize)
    for line in step:
        operation = line.operation
        if _is_update(line):
            continue
        place = None
        if isinstance(operation, Product):
            end = operation.out + operation.m * operation.n * itemsize
            if operation.out_leading == operation.n:  # without gaps
                covers = (p for p in pieces if p.start <= operation.out and end <= p.stop)
                place = next(covers, None)
        if place is None:
            before.append(line)
            continue
        operands = operation._replace(out=operation.out + place.to_parameters)._asdict()
        descend = Descend(**operands, factors=place.factors)
        onto_parameters.append(Line(descend, (place.decay,)))
        pieces.remove(place)
        rest = place._replace(stop=operation.out), place._replace(start=end)
        pieces += [piece for piece in rest if piece.start < piece.stop]
    return before + onto_parameters + [_update(piece, itemsize) for piece in pieces]


def _pieces(updates: Sequence[Line], itemsize: int) -> list[_Piece]:
    """Return what the updates cover, in as few pieces as possible."""
    pieces: list[_Piece] = []
    for update, (decay, *_) in sorted(updates, key=lambda line: int(line.operation.g)):
        start, stop = update.g, update.g + update.size * itemsize
        piece = _Piece(start, stop, update.p - start, update.factors, decay)
        alike = bool(pieces) and pieces[-1][2:] == piece[2:]
        if alike and pieces[-1].stop == start:
            piece = piece._replace(start=pieces.pop().start)
        pieces.append(piece)
    return pieces


def _update(piece: _Piece, itemsize: int) -> Line:
    g = piece.start
    size = (piece.stop - g) // itemsize
    return Line(Update(SGD, g + piece.to_parameters, g, size, g, g, piece.factors), (piece.decay,))
