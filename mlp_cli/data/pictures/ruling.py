"""Ruled lines of paper: found by how many columns of ink they cross, and taken away."""

from __future__ import annotations

import numpy as np

from mlp_cli.data.pictures.components import Integers
from mlp_cli.data.pictures.windows import Mask

STEEPEST = 0.2  # rows for each column
SLOPES = 121
COVERED = 0.6  # share of the columns that a ruled line crosses
THICKEST = 1 / 64  # of the picture's longer side
MAX_ROUNDS = 6  # lines of different slopes, as in a photograph from one side


def ruled_lines(ink: Mask) -> Mask:
    """Return the mask of the pixels that belong to ruled lines, across or down."""
    return _lines_across(ink) | _lines_across(ink.T).T


def _lines_across(ink: Mask) -> Mask:
    """Return the pixels of lines across, without those where a stroke crosses a line.

    1. For each slope, the ink is counted along each line of that slope.
    2. The lines of the slope with the largest count are ruled lines if they cross enough columns.
    3. Of each column on such a line, the ink above and below belongs to the line if it is thin.
    4. The ink on these lines is set aside, and the rest is searched again.
    """
    height, width = ink.shape
    rest, lines = ink.copy(), np.zeros_like(ink)
    rows = np.arange(height)[:, None]
    top = np.maximum.accumulate(np.where(ink, 0, rows + 1), axis=0)
    bottom = np.minimum.accumulate(np.where(ink, height, rows)[::-1], axis=0)[::-1]
    thickest = int(THICKEST * max(height, width))
    columns = np.arange(width)
    for _ in range(MAX_ROUNDS):
        found, shift = _fullest_lines(rest)
        if not len(found):
            break
        for first_row in found:
            row = first_row + shift
            at = columns[(row >= 0) & (row < height)]
            at = at[rest[row[at], at]]
            first, last = top[row[at], at], bottom[row[at], at]
            rest[row[at], at] = False
            thin = last - first <= thickest
            if 2 * thin.sum() > len(at):
                for step in range(thickest):
                    within = thin & (first + step < last)
                    lines[(first + step)[within], at[within]] = True
    return lines


def _fullest_lines(ink: Mask) -> tuple[Integers, Integers]:
    """Return the rows of the ruled lines of the best slope, and what to add in each column."""
    width = ink.shape[1]
    row, column = np.nonzero(ink)
    best, best_found, best_shift = 0, np.zeros(0, np.int64), np.zeros(0, np.int64)
    for step in range(SLOPES):
        slope = STEEPEST * (2 * step / (SLOPES - 1) - 1)
        shift = np.floor(slope * (np.arange(width) - width / 2) + 0.5).astype(np.int64)
        reach = int(abs(shift).max())
        counts = np.bincount(row - shift[column] + reach)
        if len(counts) and counts.max() > best:
            best, best_shift = int(counts.max()), shift
            best_found = np.flatnonzero(counts >= COVERED * width) - reach
    return best_found, best_shift
