"""Ruled lines of paper: found by how many columns of ink they cross, and taken away."""

from __future__ import annotations

import numpy as np

from mlp_cli.data.pictures.components import Integers
from mlp_cli.data.pictures.windows import Mask

STEEPEST = 0.2  # rows for each column
SLOPES = 121
COVERED = 0.6  # share of the columns that each of several parallel lines crosses
COVERED_ALONE = 0.85  # the same for a line without a parallel one: a stroke may be long too
THICKEST = 1 / 64  # of the picture's longer side, and a pixel for blur
SMALLEST = 56  # pixels of the longer side; lines of smaller pictures are as thick as strokes
FULLEST = 0.35  # share of the picture that ink and lines cover; a darker picture has no lines
MAX_ROUNDS = 6  # lines of different slopes, as in a photograph from one side


def ruled_lines(ink: Mask) -> Mask:
    """Return the mask of the pixels that belong to ruled lines, across or down."""
    if max(ink.shape) < SMALLEST or ink.mean() > FULLEST:
        return np.zeros_like(ink)
    across, on_across = _lines_across(ink)
    down, on_down = _lines_across(ink.T)
    return across | down.T | (on_across & on_down.T)  # what is on two lines is their crossing


def _lines_across(ink: Mask) -> tuple[Mask, Mask]:
    """Return the pixels of lines across without those of strokes that cross a line, and with them.

    1. For each slope, the ink is counted along each line of that slope.
    2. The lines of the slope with the largest count are ruled lines if they cross enough columns.
    3. Of each column on such a line, the ink above and below belongs to the line if it is thin.
    4. The ink on these lines is set aside, and the rest is searched again.
    """
    height, width = ink.shape
    rest, lines, on_lines = ink.copy(), np.zeros_like(ink), np.zeros_like(ink)
    rows = np.arange(height)[:, None]
    top = np.maximum.accumulate(np.where(ink, 0, rows + 1), axis=0)
    bottom = np.minimum.accumulate(np.where(ink, height, rows)[::-1], axis=0)[::-1]
    thickest = 1 + int(THICKEST * max(height, width))
    columns = np.arange(width)
    for _ in range(MAX_ROUNDS):
        counts, reach, shift = _fullest_slope(rest)
        found = np.flatnonzero(counts >= COVERED * width) - reach
        if not len(found) or (
            found[-1] - found[0] <= 2 * thickest and counts.max() < COVERED_ALONE * width
        ):
            break
        for first_row in found:
            row = first_row + shift
            at = columns[(row >= 0) & (row < height)]
            at = at[rest[row[at], at]]
            first, last = top[row[at], at], bottom[row[at], at]
            rest[row[at], at] = False
            thin = last - first <= thickest
            if 2 * thin.sum() > len(at):
                on_lines[row[at], at] = True
                for step in range(thickest):
                    within = thin & (first + step < last)
                    lines[(first + step)[within], at[within]] = True
    return lines, on_lines


def _fullest_slope(ink: Mask) -> tuple[Integers, int, Integers]:
    """Return the ink along the lines of the slope that has the line with the most ink.

    The line of count i is in row i − reach, the second result, plus the third in each column.
    """
    width = ink.shape[1]
    row, column = np.nonzero(ink)
    best, best_reach, best_shift = np.zeros(1, np.int64), 0, np.zeros(width, np.int64)
    for step in range(SLOPES):
        slope = STEEPEST * (2 * step / (SLOPES - 1) - 1)
        shift = np.floor(slope * (np.arange(width) - width / 2) + 0.5).astype(np.int64)
        reach = int(abs(shift).max())
        counts = np.bincount(row - shift[column] + reach, minlength=1)
        if counts.max() > best.max():
            best, best_reach, best_shift = counts, reach, shift
    return best, best_reach, best_shift
