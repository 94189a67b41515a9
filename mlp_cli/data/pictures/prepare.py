"""Prepare pictures of digits as the images of MNIST were made.

The ink is found in a picture that is reduced to 512 pixels on its longer side for one digit, and
1024 for several (`ink`). Its components are joined to digits (`digits`), and each digit is brought
to MNIST's size, strokes and place (`digit`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.pictures.digit import as_mnist
from mlp_cli.data.pictures.digits import Digit, find_digits
from mlp_cli.data.pictures.ink import Ink, find_ink
from mlp_cli.data.pictures.windows import box_mean

ONE_SIDE, MANY_SIDE = 512, 1024  # of the reduced picture
NEAR_INK = 2  # pixels around the ink that belong to it
ALIKE = 0.25  # of the largest digit's area: so large is another digit


class Prepared(NamedTuple):
    """An image (28, 28) of a digit, and its box in the picture: top, left, bottom, right."""

    image: NDArray[np.uint8]
    box: tuple[int, int, int, int]


def prepare_digit(picture: NDArray[np.number]) -> tuple[Prepared | None, int]:
    """Return the largest digit of a picture (height, width), and the number of digits in it.

    The digit is None if the picture is blank.
    """
    ink = find_ink(picture, ONE_SIDE)
    if ink is None:
        return None, 0
    digits = [digit for line in find_digits(ink.parts, ink.kept, alone=True) for digit in line]
    if not digits:
        return None, 0
    largest = max(digits, key=lambda digit: digit.area)
    prepared = _prepared(ink, largest, picture.shape)
    alike = sum(digit.area >= ALIKE * largest.area for digit in digits)
    return (prepared, alike) if prepared.image.any() else (None, 0)


def prepare_digits(picture: NDArray[np.number]) -> list[list[Prepared]]:
    """Return the lines of digits of a picture (height, width), in the order of reading."""
    ink = find_ink(picture, MANY_SIDE)
    if ink is None:
        return []
    lines = [
        [_prepared(ink, digit, picture.shape) for digit in line]
        for line in find_digits(ink.parts, ink.kept, alone=False)
    ]
    inked = [[digit for digit in line if digit.image.any()] for line in lines]
    return [line for line in inked if line]


def _prepared(ink: Ink, digit: Digit, shape: tuple[int, ...]) -> Prepared:
    rows, columns = slice(digit.top, digit.bottom), slice(digit.left, digit.right)
    own = np.zeros(len(ink.parts), bool)
    own[list(digit.parts)] = True
    near = box_mean(ink.parts.mask(own)[rows, columns].astype(np.float32), NEAR_INK) > 0
    image = as_mnist(np.where(near, ink.darkness[rows, columns], 0), ink.level)
    down, across = (n / m for n, m in zip(shape, ink.parts.shape, strict=True))
    top, bottom = (round(down * row) for row in (digit.top, digit.bottom))
    left, right = (round(across * column) for column in (digit.left, digit.right))
    return Prepared(image, (top, left, bottom, right))
