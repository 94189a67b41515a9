"""Changes of a folder of IDX files as people make them, on purpose or not."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np

from helpers.stand_ins import idx
from mlp_cli.data.idx import read_idx

Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _label(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels[7] = (labels[7] + 1) % 3
    return images, labels


def _pixel(at: int) -> Change:
    def change(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images.reshape(-1)[at] ^= 1
        return images, labels

    return change


def _swapped(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images[[3, 6]] = images[[6, 3]]  # of one class, so the labels stay right
    return images, labels


# By a name: how to change the images (n, height, width) and labels (n,) of one split. All but those
# of `RESIZED` keep the shapes.
CHANGES: dict[str, Change] = {
    "a label": _label,
    "the first pixel": _pixel(0),
    "a pixel": _pixel(111),
    "the last pixel": _pixel(-1),
    "two images swapped": _swapped,
    "another order": lambda images, labels: (images[::-1], labels[::-1]),
    "all labels": lambda images, labels: (images, (labels + 1) % 3),
    "inverted": lambda images, labels: (255 - images, labels),
}
RESIZED: dict[str, Change] = {
    "an image less": lambda images, labels: (images[:-1], labels[:-1]),
    "more images": lambda images, labels: (
        np.concatenate([images, images]), np.concatenate([labels, labels])
    ),
    "as many as the held out": lambda images, labels: (images[:15], labels[:15]),
    "an image alone": lambda images, labels: (images[2:3], labels[2:3]),
    "upright": lambda images, labels: (images.transpose(0, 2, 1), labels),
    "wider": lambda images, labels: (np.pad(images, ((0, 0), (0, 0), (0, 1))), labels),
    "a class less": lambda images, labels: (images, labels % 2),
    "a class more": lambda images, labels: (images, np.append(labels[:-1], 3)),
}  # fmt: skip


def change(folder: Path, how: Change, split: str = "train") -> None:
    """Change the files of a split ("train" or "t10k") in a folder.

    A file whose content stays the same is not written. The others are replaced: a process that has
    mapped them keeps what it had.
    """
    names = (f"{split}-images-idx3-ubyte", 3), (f"{split}-labels-idx1-ubyte", 1)
    paths = [folder / name for name, _ in names]
    arrays = how(*(read_idx(folder / name, ndim=ndim).copy() for name, ndim in names))
    for path, array in zip(paths, arrays, strict=True):
        content = idx(array.astype(np.uint8))
        if content != path.read_bytes():
            path.unlink()
            path.write_bytes(content)


def pack(folder: Path) -> None:
    """Gzip each file in a folder."""
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
