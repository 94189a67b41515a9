"""Bring the ink of one digit to the size, strokes and place that digits have in MNIST.

1. Scale the darkness so that the longer side of the digit's box has 80 pixels.
2. Spread it to 0 (paper) to 1 (ink).
3. Measure the width of the strokes by area A and perimeter P: a strip of width w and length l has
   A = wl and P = 2 (w + l).
4. Make strokes that are thinner or thicker than MNIST's wider or narrower, by a disc.
5. Scale the box of what is left to 20 pixels on its longer side, by means of areas.
6. Place it in 28×28 so that its centre of mass is nearest to row 14 and column 14.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.pictures.windows import Grey, dilated, scaled

FINE = 80  # pixels of the longer side while strokes are measured: four for each of MNIST's
BORDER = 8  # around it, for wider strokes
PAPER, FULL = 0.25, 0.75  # of the level of the ink
THINNEST, THICKEST = 8.0, 13.0  # strokes, in the fine pixels
MOST_NARROWED = 6.0  # fine pixels at each side; more would be a blot
BOX, SIDE, CENTRE = 20, 28, 14


def as_mnist(darkness: Grey, level: float) -> NDArray[np.uint8]:
    """Return the image (28, 28), 0 to 255, of a digit.

    Parameters
    ----------
    darkness
        The digit's box (height, width), 0 for paper.
    level
        The darkness of ink.
    """
    height, width = darkness.shape
    longer = max(height, width)
    rows, columns = (max(1, round(n * FINE / longer)) for n in (height, width))
    fine = np.pad(scaled(darkness, rows, columns), BORDER)
    fine = np.clip((fine / level - PAPER) / (FULL - PAPER), 0, 1).astype(np.float32)
    fine = _with_usual_strokes(fine)
    inked = fine >= 0.5
    down, across = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if len(down):
        fine = fine[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    longer = max(fine.shape)
    rows, columns = (max(1, round(n * BOX / longer)) for n in fine.shape)
    small = scaled(fine, rows, columns)
    image = np.zeros((SIDE, SIDE), np.uint8)
    top, left = _place(small.sum(axis=1)), _place(small.sum(axis=0))
    image[top : top + rows, left : left + columns] = np.floor(255 * small + 0.5)
    return image


def stroke_width(fine: Grey) -> float:
    """Return the mean width of the strokes, in pixels."""
    area = float(fine.sum(dtype=np.float64))
    down = np.diff(fine, axis=0)[:, :-1]
    right = np.diff(fine, axis=1)[:-1]
    half = float(np.hypot(down, right).sum(dtype=np.float64)) / 2
    return (half - math.sqrt(max(0, half * half - 4 * area))) / 2


def _with_usual_strokes(fine: Grey) -> Grey:
    """Return the digit with strokes as wide as MNIST's are, after it is scaled to its box again."""
    width = stroke_width(fine)
    wanted = min(max(width, THINNEST), THICKEST)
    radius = (wanted - width) / 2 / (1 - wanted / FINE)
    if radius > 0:
        return dilated(fine, radius)
    narrowed = 1 - dilated(1 - fine, min(-radius, MOST_NARROWED))
    return narrowed if (narrowed >= 0.5).any() else fine


def _place(mass: Grey) -> int:
    """Return where to put rows or columns of this mass, so that their centre is in the middle."""
    centre = float((mass * np.arange(len(mass))).sum()) / max(float(mass.sum()), 1e-6)
    return min(max(int(np.floor(CENTRE - centre + 0.5)), 0), SIDE - len(mass))
