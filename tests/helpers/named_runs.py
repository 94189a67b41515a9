"""A run on three classes with names, and other images of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helpers.own_images import write_own_images
from helpers.stopping import resume
from mlp_cli.config.load import from_dict
from mlp_cli.data.idx import read_idx

NAMES = ("cat", "dog", "a bird")
SIDE = 6  # pixels


def named_run(parent: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Train a network on three classes of 6×6 pixels; without names, they are numbered."""
    folder = write_own_images(parent, SIDE, SIDE, classes=3, train=120)
    if names:
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    settings = {"data": {"path": str(folder), "validation": 30}, "model": {"hidden": [8]}}
    config = from_dict(settings | {"training": {"epochs": 5, "batch_size": 8}}, "")
    resume(parent / "run", config)
    return parent / "run"


def images_to_test(parent: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the images and labels of the test set of `named_run`."""
    folder = parent / f"own-{SIDE}x{SIDE}-3"
    images = read_idx(folder / "t10k-images-idx3-ubyte", ndim=3)
    return images, read_idx(folder / "t10k-labels-idx1-ubyte", ndim=1)


def write_table(path: Path, images: NDArray[np.uint8], labels: list[object] | None) -> Path:
    """Write images as CSV with a header, labels first if there are any; return the path."""
    head = [f"pixel{number}" for number in range(images[0].size)]
    rows = [list(map(str, image.ravel())) for image in images]
    if labels is not None:
        head = ["label", *head]
        rows = [[str(label), *row] for label, row in zip(labels, rows, strict=True)]
    path.write_text("".join(f"{','.join(row)}\n" for row in [head, *rows]))
    return path
