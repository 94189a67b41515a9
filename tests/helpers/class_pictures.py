"""Pictures in a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.pictures.reading import as_png


def image(number: int, height: int = 6, width: int = 5) -> NDArray[np.uint8]:
    """Return an image that no other number gives."""
    return np.random.default_rng(number).integers(0, 256, (height, width), np.uint8)


def write_pictures(
    folder: Path, names: Sequence[str] = ("0", "1", "2"), each: int = 4
) -> list[NDArray[np.uint8]]:
    """Write as many pictures into a folder for each class; return them in their order."""
    images = []
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            images.append(image(len(images)))
            (folder / name / f"{number:06}.png").write_bytes(as_png(images[-1]))
    return images
