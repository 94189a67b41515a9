"""Numbers as grey values from 0 (black) to 255 (white)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.formats.questions import question
from mlp_cli.errors import DataError
from mlp_cli.nn.buffers import Pixels

PIECE = 1 << 20  # numbers that are converted at once


def as_grey(name: str, values: NDArray[Any], white: float | None) -> Pixels:
    """Return numbers of any type as grey values, rounded to the nearest whole number.

    Bytes of which 255 is white are returned as they are, without a copy.

    Parameters
    ----------
    name
        The file or array, for messages.
    values
        Numbers of any shape. Of an array that is mapped into memory, only pieces are copied.
    white
        The value that is white; None to find it as `find_white` does.

    Raises
    ------
    ConfigError
        If `white` is None, and the largest value does not say what it is.
    DataError
        If the values are no numbers, or if one is negative, not finite or above `white`.
    """
    white = find_white(name, largest(name, values), white)
    if values.dtype == np.uint8 and white == 255:
        return values
    grey = np.empty(values.shape, np.uint8)
    for rows in pieces(values):
        grey[rows] = np.rint(values[rows] / np.float64(white) * 255)
    return grey


def find_white(name: str, high: float, white: float | None) -> float:
    """Return the value that is white: `white`, or what the largest value `high` says.

    A largest value of 128 to 255 means that 255 is white, and one up to 1 that 1 is.

    Raises
    ------
    ConfigError
        If `white` is None, and the largest value is another.
    DataError
        If the largest value is above `white`.
    """
    if white is not None:
        if high > white:
            raise DataError(
                f"{name}: its largest value is {high:g}, but white is {white:g}, as --white or the "
                "training images say. Give the images one scale."
            )
        return white
    if high <= 1:
        return 1
    if 128 <= high <= 255:
        return 255
    seen = f"its largest value is {high:g}, so it is open which value is white"
    raise question(name, seen, f"the value that is white, as in --white {high:g}")


def largest(name: str, values: NDArray[Any]) -> float:
    """Return the largest of some numbers, of which none is negative, infinite or NaN.

    Raises
    ------
    DataError
        If one is, or if they are no numbers.
    """
    if values.dtype.kind not in "buif" or not values.size:
        raise DataError(
            f"{name}: an array of type {values.dtype} and shape {values.shape}, but grey values "
            "are whole or decimal numbers, and there must be some. Save the images as numbers."
        )
    high = 0.0
    for rows in pieces(values):
        piece = values[rows]
        low, high = float(piece.min()), max(high, float(piece.max()))
        if not (low >= 0 and high < np.inf):
            wrong = ~(np.isfinite(piece) & (piece >= 0))
            first = np.unravel_index(int(np.argmax(wrong)), piece.shape)
            raise DataError(
                f"{name}: the value {piece[first]:g} in image {rows.start + first[0]}, counted "
                "from 0, is no grey value. Grey values are finite and not negative: scale them to "
                "0 … 255 or to 0 … 1."
            )
    return high


def pieces(values: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of the first axis of an array that have about `PIECE` numbers each."""
    step = max(1, PIECE // max(1, values[0].size))
    for start in range(0, len(values), step):
        yield slice(start, start + step)
