"""Updates without a gradient in memory: ΔW goes from the product that computes it into the weights.

If nothing but the updates at the end of a step reads the gradient, then the products that write it
and the updates that read it become one:

    plain SGD     W ← (1 − η λ) W − η δᵀ a    a product onto the weights themselves
    other rules   some rows of δᵀ a, and the update of these rows while they are in the cache

Only the lines of a program change, never the code that recorded them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mlp_cli.compute.fast.opcodes import (
    SGD,
    Clip,
    Descend,
    Learn,
    Line,
    Product,
    SumSquares,
    Update,
)
from mlp_cli.compute.fast.tiling import DEPTH


class _Piece(NamedTuple):
    """Gradients that lie in memory from `start` to `stop`, and how they update the parameters.

    `update` is the update of the gradient at `start`, and `constants` are its constants.
    """

    start: int
    stop: int
    update: Update
    constants: tuple[float, ...]

    def cut(self, start: int, stop: int) -> _Piece:
        """Return the part from `start` to `stop`."""
        return _Piece(start, stop, _moved(self.update, start - self.start), self.constants)


def fuse_updates(lines: Sequence[Line], itemsize: int) -> list[Line]:
    """Return the lines of a program without the gradients that only updates would read."""
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
    if any(isinstance(line.operation, SumSquares | Clip) for line in step):
        return step
    before: list[Line] = []
    onto_parameters: list[Line] = []
    pieces = _pieces([line for line in step if _is_update(line)], itemsize)
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
        fused = None if place is None else _fuse(operation, place)
        if place is None or fused is None:
            before.append(line)
            continue
        onto_parameters.append(fused)
        pieces.remove(place)
        rest = place.cut(place.start, operation.out), place.cut(end, place.stop)
        pieces += [piece for piece in rest if piece.start < piece.stop]
    updates = [
        Line(each.update._replace(size=(each.stop - each.start) // itemsize), each.constants)
        for each in pieces
    ]
    return before + onto_parameters + updates


def _fuse(product: Product, piece: _Piece) -> Line | None:
    """Return the product and its update as one line, or None if there is no such operation."""
    update = _moved(piece.update, product.out - piece.start)
    operands = product._asdict()
    if update.rule == SGD:
        descend = Descend(**operands | {"out": update.p}, factors=update.factors)
        return Line(descend, piece.constants)
    if not product.room or product.k > DEPTH:
        return None
    learning = update._asdict()
    del learning["g"], learning["size"]
    return Line(Learn(**operands, **learning), piece.constants)


def _moved(update: Update, distance: int) -> Any:
    """Return an update of what lies `distance` bytes further on in every vector."""
    names = ("p", "g", "first_slot", "second_slot")
    return update._replace(**{name: getattr(update, name) + distance for name in names})


def _pieces(updates: Sequence[Line], itemsize: int) -> list[_Piece]:
    """Return what the updates cover, in as few pieces as possible."""
    pieces: list[_Piece] = []
    for update, constants in sorted(updates, key=lambda line: int(line.operation.g)):
        piece = _Piece(update.g, update.g + update.size * itemsize, update, constants)
        if pieces and pieces[-1].stop == piece.start:
            before = pieces[-1]
            alike = _moved(before.update, piece.start - before.start)
            if alike._replace(size=0) == update._replace(size=0) and before.constants == constants:
                piece = pieces.pop()._replace(stop=piece.stop)
        pieces.append(piece)
    return pieces
