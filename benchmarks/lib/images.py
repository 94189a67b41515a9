"""Folders of images: some or several times MNIST's, or made ones with half of the pixels lit."""

from __future__ import annotations

import gzip
from math import prod
from pathlib import Path
from typing import IO


def training_images(folder: Path) -> int:
    """Return the number of training images in a folder, from the file's header."""
    with _opened(folder / "train-images-idx3-ubyte") as file:
        return int.from_bytes(file.read(8)[4:], "big")


def raw_copy(data: Path, folder: Path, images: int) -> Path:
    """Write MNIST's files unpacked, with the first `images` training images.

    If that is more than there are, they are repeated. No more is read than is written.
    """
    folder.mkdir()
    for name, shape in (("train-images-idx3-ubyte", 8), ("train-labels-idx1-ubyte", 0)):
        with _opened(data / name) as file, (folder / name).open("wb") as copy:
            magic, n, rest = file.read(4), int.from_bytes(file.read(4), "big"), file.read(shape)
            sizes = [int.from_bytes(rest[at : at + 4], "big") for at in range(0, shape, 4)]
            item = prod(sizes)
            body = file.read(min(n, images) * item)
            copy.write(magic + images.to_bytes(4, "big") + rest)
            for _ in range(images // n):
                copy.write(body)
            copy.write(body[: images % n * item])
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        with _opened(data / name) as file:
            (folder / name).write_bytes(file.read())
    return folder


def share_lit(folder: Path, images: int) -> float:
    """Return the share of pixels that are not 0 in the first `images` training images."""
    with _opened(folder / "train-images-idx3-ubyte") as file:
        sizes = file.read(16)[8:]
        item = prod(int.from_bytes(sizes[at : at + 4], "big") for at in (0, 4))
        pixels = file.read(images * item)
    return 1 - pixels.count(0) / len(pixels)


def half_lit(folder: Path) -> Path:
    """Write images in MNIST's shapes and numbers, of which half of the pixels are lit, at random.

    Each class has its own pattern. An image shows it with 30 % of the pixels exchanged.
    """
    import numpy as np

    folder.mkdir()
    generator = np.random.default_rng(0)
    patterns = generator.random((10, 28, 28), np.float32) < 0.5
    for name, n in (("train", 60_000), ("t10k", 10_000)):
        labels = generator.integers(0, 10, n, np.uint8)
        lit = patterns[labels] ^ (generator.random((n, 28, 28), np.float32) < 0.3)
        pixels = lit * generator.integers(1, 256, lit.shape, np.uint8)
        for path, array in (
            (f"{name}-images-idx3-ubyte", pixels),
            (f"{name}-labels-idx1-ubyte", labels),
        ):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (folder / path).write_bytes(header + array.tobytes())
    return folder


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb") if path.exists() else gzip.open(f"{path}.gz")
