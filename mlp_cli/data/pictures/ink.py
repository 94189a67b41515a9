"""Find the ink of a picture: how dark it is against the paper around it, and which pixels it is.

Each step is plain arithmetic on arrays, so that another language can repeat it:

1. Reduce the picture, if it is large, by means of areas.
2. Stretch its values to 0 to 255. A picture with hardly any difference is blank.
3. Smooth it by a window mean, if it has many pixels.
4. If the ink is bright, invert the picture. Ink deviates more from the local mean than paper does,
   so the mean cube of the deviations has its sign; if that is not clear, the edge of the picture is
   taken for paper.
5. Estimate the paper by a closing: it fills strokes that are narrower than its window, and keeps
   shade, shadows and a table. The darkness of a pixel is (paper − pixel) / (paper + 20).
6. Find the ruled lines of the paper (`ruling`), and take them away in all later steps.
7. Separate ink from paper by Otsu's threshold, or by the noise of the paper if that is more. Only
   components with sharp rims count, and no specks. The level of the ink is their mean darkness. Ink
   is what has half of the level: separate once more.
8. Do step 7 first without the components that touch the edge of the picture. If nothing is left,
   set their darkness to 0 and repeat it. If nothing is left again, ink may touch the edge, but not
   in strips, which are a table.
9. Do steps 5 to 8 with a narrow window, then with wider ones, until the ink holds whole strokes:
   only few of the pixels around it, and no larger area, are nearly as dark by the widest window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.pictures.components import Components, components
from mlp_cli.data.pictures.ruling import ruled_lines
from mlp_cli.data.pictures.windows import Grey, Mask, box_mean, closing, maximum, reduced

LOWEST_CONTRAST = 16  # of 255
WINDOWS = (0.05, 0.09, 0.15)  # half of a window's side, of the longer side of the picture
NARROWEST = 5  # pixels; only the widest window may be narrower
CLEAR_SKEWNESS = 0.5
LIFTED = 20  # added to the paper, so that noise on black paper is no ink
NOISE, CLEAR_OF_NOISE = 4.0, 6.0  # distances of the least dark ink, and of the level of the ink
LEAST_LEVEL = 0.12  # of the ink
RIM, SHARP, SHARP_RIM = 3, 0.2, 0.75  # pixels; a change in them, of the darkness; share of the rim
RULED_LEVEL = 0.35  # of the level of the ink: ruled lines may be paler
INK_LEVEL = 0.5
SPECK = 0.02  # of the largest component's area
LOWEST, SMALLEST = 0.06, 0.01  # a digit within a table: of the longer side, and of the table's area
PALER = 0.25  # of the level of what touches the edge: ink elsewhere has at least this level
LEAST_PIXELS = 5  # rows or columns of the largest component
LEAST_SIZE = 0.025  # of the largest component, of the longer side
ALONG, THIN = 0.8, 0.15  # of an edge or of its own length; of the picture: strips of a table
AS_DARK, TORN, LARGER = 0.7, 0.05, 2  # of the level; of the pixels around the ink; of the ink


@dataclass(frozen=True)
class Ink:
    """The ink of a picture.

    `darkness` (height, width) is 0 for paper, and about `level` for ink, not smoothed. `parts` are
    the components of the ink, of which those in `kept` are no specks.
    """

    darkness: Grey
    level: float
    parts: Components
    kept: Mask


def find_ink(picture: NDArray[np.number], side: int) -> Ink | None:
    """Return the ink of a picture (height, width), or None if it is blank.

    The picture is reduced to `side` pixels on its longer side.
    """
    sharp = reduced(picture, side)
    low, high = float(sharp.min()), float(sharp.max())
    if high - low < LOWEST_CONTRAST:
        return None
    sharp = (sharp - low) * np.float32(255 / (high - low))
    longer = max(sharp.shape)
    smooth = box_mean(sharp, min(2, (longer + 128) // 256))
    windows = [max(1, round(share * longer)) for share in WINDOWS]
    if _is_bright(smooth, windows[-1]):
        sharp, smooth = 255 - sharp, 255 - smooth
    windows = [window for window in windows if window >= NARROWEST] or windows[-1:]
    widest = _darkness(smooth, smooth, windows[-1])
    ink = None
    for window in windows:
        darkness = _darkness(smooth, smooth, window)
        lines = _ruling(darkness)
        separated = _separated(darkness, lines)
        if separated is not None:
            level, parts, kept = separated
            darkness = np.where(lines, np.float32(0), _darkness(smooth, sharp, window))
            ink = Ink(darkness, level, parts, kept)
            if _is_whole(parts.mask(kept), widest, lines):
                break
    return ink


def _darkness(smooth: Grey, picture: Grey, window: int) -> Grey:
    """Return how dark a picture is against its paper, by a smooth copy of the picture."""
    paper = closing(smooth, window)
    return (paper - picture) / (paper + np.float32(LIFTED))


def _ruling(darkness: Grey) -> Mask:
    """Return the mask of the ruled lines."""
    ink = darkness[darkness > _first_threshold(darkness)]
    level = float(ink.mean()) if len(ink) else math.inf
    return ruled_lines(darkness > max(RULED_LEVEL * level, noise_limit(darkness, NOISE)))


def _first_threshold(darkness: Grey) -> float:
    """Return a threshold between paper and ink before the level of the ink is known."""
    return max(otsu(darkness), noise_limit(darkness, NOISE))


def _separated(darkness: Grey, lines: Mask) -> tuple[float, Components, Mask] | None:
    """Return the level, the components and the kept components of the ink, None without ink.

    What touches the edge of the picture is no digit if there is ink elsewhere, also paler ink.
    """
    inside = _threshold(darkness, lines, _inside)
    if inside is not None:
        return inside
    parts = components((darkness > _first_threshold(darkness)) & ~lines)
    table = parts.mask(~_within(parts))
    if table.any():
        near = box_mean(table.astype(np.float32), RIM) > 0
        inside = _threshold(np.where(near, np.float32(0), darkness), lines, _inside)
        if inside is not None and inside[0] >= PALER * float(darkness[table].mean()):
            return inside
    return _threshold(darkness, lines, _at_edge)


def _threshold(
    darkness: Grey, lines: Mask, choose: Callable[[Components], Mask]
) -> tuple[float, Components, Mask] | None:
    """Separate ink from paper, with only the components that are chosen, none of which is a speck.

    The result is that of `_separated`.
    """
    noise = noise_limit(darkness, NOISE)
    threshold = _first_threshold(darkness)
    dark = darkness[darkness > threshold]
    if not len(dark) or dark.mean() < LEAST_LEVEL:
        return None
    for _ in range(2):
        parts = components((darkness > threshold) & ~lines)
        kept = choose(parts) & _sharp(darkness, parts)
        kept &= parts.area >= SPECK * parts.area[kept].max(initial=0)
        if not kept.any():
            return None
        level = float(darkness[parts.mask(kept)].mean())
        threshold = max(INK_LEVEL * level, noise)
    sizes = np.maximum(parts.bottom - parts.top, parts.right - parts.left)[kept]
    least = max(LEAST_LEVEL, noise_limit(darkness, CLEAR_OF_NOISE))
    if level < least or sizes.max() < max(LEAST_PIXELS, LEAST_SIZE * max(darkness.shape)):
        return None
    return level, parts, kept


def _within(parts: Components) -> Mask:
    """Return which components do not touch the edge."""
    height, width = parts.shape
    within: Mask = (parts.top > 0) & (parts.left > 0)
    return within & (parts.bottom < height) & (parts.right < width)


def _inside(parts: Components) -> Mask:
    """Choose the components that do not touch the edge, unless all of them are low."""
    chosen = _within(parts)
    high = parts.bottom - parts.top >= LOWEST * max(parts.shape)
    largest, at_edge = (parts.area[some].max(initial=0) for some in (chosen & high, ~chosen))
    return chosen if largest > SMALLEST * at_edge else np.zeros_like(chosen)


def _at_edge(parts: Components) -> Mask:
    """Choose all components but strips of a table: along most of an edge, or thin along a part."""
    height, width = parts.shape
    high, wide = parts.bottom - parts.top, parts.right - parts.left
    chosen = np.ones(len(parts), bool)
    for edge, contact in enumerate(parts.contact()):
        along, deep, side, depth = (wide, high, width, height)
        if edge >= 2:  # left and right
            along, deep, side, depth = (high, wide, height, width)
        chosen &= contact < ALONG * side
        chosen &= (contact < ALONG * along) | (deep > THIN * depth)
    return chosen


def _sharp(darkness: Grey, parts: Components) -> Mask:
    """Return which components have edges: along their rims, darkness changes within few pixels.

    Where shade or a shadow becomes darker, this is so for a part of the rim at most.
    """
    mask = parts.mask(np.ones(len(parts), bool))
    rim = (box_mean(mask.astype(np.float32), 1) < 1)[mask]
    owner, n = parts.labels, len(parts)
    inner = np.bincount(owner, darkness[mask], n) / parts.area
    change = (maximum(darkness, RIM) + maximum(-darkness, RIM))[mask]
    sharp = np.bincount(owner[rim & (change > SHARP * inner[owner])], minlength=n)
    return sharp >= SHARP_RIM * np.bincount(owner[rim], minlength=n)


def _is_whole(ink: Mask, widest: Grey, lines: Mask) -> bool:
    """Return whether the ink ends at edges, and no larger area is as dark as it is.

    The pixels around it are less dark then.
    """
    as_dark = widest > AS_DARK * float(widest[ink].mean())
    far, near = (box_mean(ink.astype(np.float32), reach) > 0 for reach in (4, 2))
    around = far & ~near
    if np.count_nonzero(as_dark[around]) > TORN * np.count_nonzero(around):
        return False
    parts = components(as_dark & ~lines)
    return bool(parts.area[_within(parts)].sum() <= LARGER * np.count_nonzero(ink))


def _is_bright(picture: Grey, radius: int) -> bool:
    """Return whether the ink is brighter than the paper."""
    deviation = picture - box_mean(picture, radius)
    spread = math.sqrt(float(np.mean(deviation**2, dtype=np.float64)))
    skewness = float(np.mean(deviation**3, dtype=np.float64)) / max(spread, 1e-6) ** 3
    if abs(skewness) >= CLEAR_SKEWNESS:
        return skewness > 0
    edge = np.concatenate((picture[0], picture[-1], picture[:, 0], picture[:, -1]))
    return float(edge.mean()) < float(picture.mean())


def _histogram(values: Grey) -> tuple[NDArray[np.float64], float]:
    """Return the counts of 256 bins from 0 to the largest value, and the width of a bin."""
    top = max(float(values.max()), 1e-6)
    bins = np.minimum((np.maximum(values, 0) * np.float32(256 / top)).astype(np.int64), 255)
    return np.bincount(bins.ravel(), minlength=256).astype(np.float64), top / 256


def otsu(values: Grey) -> float:
    """Return the threshold that separates values into the two classes with the least variance.

    Source: Otsu, A threshold selection method from gray-level histograms, 1979.
    """
    counts, width = _histogram(values)
    below, sums = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    n, total = below[-1], sums[-1]
    above = n - below
    possible = (below > 0) & (above > 0)
    between = np.zeros(256)
    between[possible] = (total * below - n * sums)[possible] ** 2 / (below * above)[possible]
    return (int(between.argmax()) + 1) * width


def noise_limit(values: Grey, distances: float) -> float:
    """Return how far the noise of the paper may go, by the lower quarter of the values.

    The limit lies so many `distances` above the quarter, each as far as from the twentieth to it.
    """
    counts, width = _histogram(values)
    share = np.cumsum(counts) / values.size
    twentieth, quarter = (int(np.searchsorted(share, wanted)) for wanted in (0.05, 0.25))
    return (quarter + distances * (quarter - twentieth)) * width
