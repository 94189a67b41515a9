"""Images of one's own, in four small IDX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.stand_ins import idx


def write_own_images(
    parent: Path, height: int = 8, width: int = 8, classes: int = 10, train: int = 600
) -> Path:
    """Write a folder of four IDX files with separable classes, and return its path."""
    folder = parent / f"own-{height}x{width}-{classes}"
    folder.mkdir()
    generator = np.random.default_rng(3)
    ink = generator.integers(0, 2, (classes, height, width)) * 200
    for name, n in (("train", train), ("t10k", train // 4)):
        labels = (np.arange(n) % classes).astype(np.uint8)
        images = np.clip(ink[labels] + generator.integers(0, 55, (n, height, width)), 0, 255)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(images.astype(np.uint8)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder
