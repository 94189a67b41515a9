"""Find the ink of a picture: how dark it is against the paper around it, and which pixels it is.

Each step is plain arithmetic on arrays, so that another language can repeat it:

1. Reduce the picture, if it is large, by means of areas.
2. Stretch its values to 0 to 255. A picture with hardly any difference is blank.
3. Smooth it by a window mean, if it has many pixels.
4. If the ink is bright, invert the picture. Ink deviates more from the local mean than paper does,
   so the mean cube of the deviations has its sign; if that is not clear, the edge of the picture is
   taken for paper.
5. Estimate the paper by a closing: it fills strokes, and keeps shade, shadows and the edge of a
   table. The darkness of a pixel is (paper − pixel) / (paper + 20).
6. Separate ink from paper by Otsu's threshold. Take away the ruled lines of the paper.
7. Leave out components that touch the edge, if others are left, and specks.
8. The level of the ink is the mean darkness of the rest. Ink is what has half of it. Repeat step 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.pictures.components import Components, components
from mlp_cli.data.pictures.ruling import ruled_lines
from mlp_cli.data.pictures.windows import Grey, Mask, box_mean, closing, reduced

LOWEST_CONTRAST = 16  # of 255
WINDOWS = (0.05, 0.09, 0.15)  # half of a window's side, of the longer side; strokes are narrower
NARROWEST = 5
WHOLE, TORN = 0.7, 0.05
CLEAR_SKEWNESS = 0.5
LIFTED = 20  # added to the paper, so that noise on black paper is no ink
RULED_LEVEL = 0.35  # of the level of the ink: ruled lines may be paler
INK_LEVEL = 0.5
LOW, SMALL = (
    0.06,
    0.01,
)  # a digit is higher, for the longer side, and larger than this share of a table
NOISE = 4.0  # from the values' quarter up, in distances of quarter and twentieth
SPECK = 0.02  # of the largest component's area


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


def find_ink(picture: NDArray[np.generic], side: int) -> Ink | None:
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
    radius = max(1, round(WINDOWS[-1] * longer))
    if _is_bright(smooth, radius):
        sharp, smooth = 255 - sharp, 255 - smooth
    found: Ink | None = None
    lines = None
    tone = _darkness(smooth, smooth, round(WINDOWS[-1] * longer))
    windows = [round(share * longer) for share in WINDOWS]
    for window in (*[n for n in windows[:-1] if n >= NARROWEST], windows[-1]):
        darkness = _darkness(smooth, smooth, window)
        noise = noise_limit(darkness)
        mask = darkness > max(otsu(darkness), noise)
        if not mask.any():
            continue
        level = float(darkness[mask].mean())
        if lines is None:
            lines = ruled_lines(darkness > max(RULED_LEVEL * level, noise))
        mask &= ~lines
        parts = components(mask)
        kept = _without_specks(parts)
        if not kept.any():
            continue
        level = float(darkness[parts.mask(kept)].mean())
        parts = components((darkness > max(INK_LEVEL * level, noise)) & ~lines)
        kept = _without_specks(parts)
        found = Ink(np.where(lines, 0, _darkness(smooth, sharp, window)), level, parts, kept)
        if kept.any() and _is_whole(parts.mask(kept), tone):
            break
    return found


def _darkness(smooth: Grey, picture: Grey, window: int) -> Grey:
    """Return how dark a picture is against its paper, which is dark only in wider areas."""
    paper = closing(smooth, window)
    return (paper - picture) / (paper + np.float32(LIFTED))


def _is_whole(ink: Mask, tone: Grey) -> bool:
    """Return whether ink ends at edges: the pixels around it are less dark, by the widest window."""
    outer, inner = (box_mean(ink.astype(np.float32), reach) > 0 for reach in (4, 2))
    ring = outer & ~inner
    level = float(tone[ink].mean())
    return bool(np.count_nonzero(tone[ring] > WHOLE * level) <= TORN * np.count_nonzero(ring))


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


def noise_limit(values: Grey) -> float:
    """Return what the noise of the paper hardly exceeds, by the lower quarter of the values."""
    counts, width = _histogram(values)
    share = np.cumsum(counts) / values.size
    fifth, quarter = (int(np.searchsorted(share, wanted)) for wanted in (0.05, 0.25))
    return (quarter + NOISE * (quarter - fifth)) * width


def _without_specks(parts: Components) -> Mask:
    """Return which components are ink of digits."""
    height, width = parts.shape
    inside = (parts.top > 0) & (parts.left > 0) & (parts.bottom < height) & (parts.right < width)
    high = parts.bottom - parts.top >= LOW * max(height, width)
    largest = int(parts.area[inside & high].max(initial=0))
    if largest <= SMALL * parts.area[~inside].max(initial=0):
        inside[:] = True
        largest = int(parts.area.max(initial=0))
    return inside & (parts.area >= SPECK * largest)
