"""Pictures of digits as people make them, from images of 28×28 pixels: on paper, photographed, bad.

Each is drawn at random by its seed. It needs Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

KINDS = (
    "enlarged",
    "inverted",
    "off centre",
    "thin",
    "thick",
    "texture",
    "shade",
    "ruled",
    "blurred",
    "jpeg",
    "perspective",
)


def make_picture(image: Pixels, seed: int) -> tuple[Pixels, list[str]]:
    """Return a picture of a digit, of one kind or of several at once, and these kinds."""
    random = np.random.default_rng(seed)
    several = random.random() < 0.6
    kinds = list(random.choice(KINDS, random.integers(2, 6) if several else 1, replace=False))
    side = int(random.integers(140, 640))
    drawn = _drawn(image, int(side * random.uniform(0.3, 0.85)), kinds)
    ink = np.zeros((side, side), np.float32)
    room = side - len(drawn)
    top, left = random.integers(0, room + 1, 2) if "off centre" in kinds else (room // 2,) * 2
    ink[top : top + len(drawn), left : left + len(drawn)] = drawn
    paper = _paper(side, side, random, kinds)
    picture = _image(paper * (1 - ink * (1 - random.uniform(0.05, 0.4))))
    if "perspective" in kinds:
        around = random.choice([60, int(paper.mean())])
        picture = seen_from_aside(picture, random, 0.07, int(around))
    if "blurred" in kinds:
        blur = ImageFilter.GaussianBlur(side * random.uniform(0.004, 0.014))
        picture = picture.filter(blur)
    if "inverted" in kinds:
        picture = _image(255 - np.asarray(picture, np.float32))
    return np.asarray(as_jpeg(picture) if "jpeg" in kinds else picture), list(map(str, kinds))


def make_sheet(images: Sequence[Pixels], seed: int) -> Pixels:
    """Return a picture of a sheet with these digits, written on its lines in their order."""
    random = np.random.default_rng(seed)
    columns, height = int(random.choice([4, 5, 5, 7, 10])), int(random.integers(36, 130))
    pitch, advance = height * random.uniform(1.35, 2.2), height * random.uniform(1.05, 1.5)
    rows = -(-len(images) // columns)
    ink = np.zeros(
        (int(pitch * rows + 2 * height), int(advance * columns + 2 * height)), np.float32
    )
    bottoms = [int(2 * height + pitch * row) for row in range(rows)]
    for place, image in enumerate(images):
        drawn = _drawn(image, int(28 / 20 * height * random.uniform(0.85, 1.12)), [])
        row, column = divmod(place, columns)
        foot = np.flatnonzero(drawn.max(axis=1) > 0.3)[-1] + 1
        top = int(bottoms[row] - foot + random.uniform(-0.08, 0.04) * height)
        left = int(0.8 * height + advance * column + random.uniform(-0.08, 0.08) * height)
        here = ink[top : top + len(drawn), left : left + len(drawn)]
        np.maximum(here, drawn[: here.shape[0], : here.shape[1]], out=here)
    paper = _paper(*ink.shape, random, [kind for kind in ("shade",) if random.random() < 0.5])
    if random.random() < 0.6:
        darkness, thickness = random.uniform(0.5, 0.85), max(1, height // 30)
        for bottom in bottoms:
            paper[bottom : bottom + thickness] *= darkness
    picture = _image(paper * (1 - ink * (1 - random.uniform(0.1, 0.4))))
    if random.random() < 0.4:
        picture = seen_from_aside(picture, random, 0.04, int(paper.mean()))
    return np.asarray(as_jpeg(picture) if random.random() < 0.4 else picture)


def naively_resized(picture: Pixels) -> Pixels:
    """Return the picture in 28×28 pixels, as one would do it without thinking."""
    return np.asarray(Image.fromarray(picture).resize((28, 28), Image.Resampling.BILINEAR))


def as_jpeg(picture: Image.Image) -> Image.Image:
    """Return the picture after JPEG at quality 40."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=40)
    return Image.open(file).convert("L")


def seen_from_aside(
    picture: Image.Image, random: np.random.Generator, furthest: float, around: int
) -> Image.Image:
    """Return the picture in perspective: each corner moves by up to this share of the sides."""
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * picture.size
    moved = corners + random.uniform(-furthest, furthest, (4, 2)) * picture.size
    equations, values = [], []
    for (x, y), (u, v) in zip(corners, moved, strict=True):
        equations += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return picture.transform(
        picture.size,
        Image.Transform.PERSPECTIVE,
        list(np.linalg.solve(np.array(equations), np.array(values))),
        Image.Resampling.BICUBIC,
        fillcolor=around,
    )


def _drawn(image: Pixels, side: int, kinds: Sequence[str]) -> Floats:
    """Return the ink of an enlarged digit, 0 to 1, with thinner or thicker strokes."""
    drawn = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    if "thin" in kinds:
        drawn = drawn.filter(ImageFilter.MinFilter(max(3, int(0.7 * side / 28) | 1)))
    elif "thick" in kinds:
        drawn = drawn.filter(ImageFilter.MaxFilter(max(3, int(1.2 * side / 28) | 1)))
    return np.asarray(drawn, np.float32) / 255


def _paper(height: int, width: int, random: np.random.Generator, kinds: Sequence[str]) -> Floats:
    paper = np.full((height, width), random.uniform(205, 255), np.float32)
    across = np.linspace(0, 1, width, dtype=np.float32)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    angle = random.uniform(0, 2 * np.pi)
    if "shade" in kinds:
        slope = np.cos(angle) * across + np.sin(angle) * down
        paper *= 1 - random.uniform(0.3, 0.7) * (slope - slope.min()) / np.ptp(slope)
        if random.random() < 0.3:  # a hard shadow
            lit = np.cos(angle + 1) * (across - 0.5) + np.sin(angle + 1) * (down - 0.5)
            paper *= np.where(lit > random.uniform(-0.2, 0.2), 1, random.uniform(0.6, 0.85))
    if "texture" in kinds:
        paper += random.uniform(4, 14) * random.normal(size=paper.shape)
        grain = int(random.integers(3, 20))
        coarse = random.normal(size=(height // grain + 2, width // grain + 2)).astype(np.float32)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        paper += random.uniform(3, 10) * np.asarray(smooth)
    if "ruled" in kinds:
        distance, thickness = int(height * random.uniform(0.07, 0.2)), random.uniform(0.003, 0.008)
        first, darkness = int(random.integers(distance)), random.uniform(0.45, 0.85)
        for row in range(first, height, distance):
            paper[row : row + max(1, int(height * thickness))] *= darkness
        if random.random() < 0.3:
            for column in range(first, width, distance):
                paper[:, column : column + max(1, int(height * thickness))] *= darkness
    return paper


def _image(values: Floats) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
