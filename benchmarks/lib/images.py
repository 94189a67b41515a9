"""Folders with some or several times MNIST's training images."""

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


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb") if path.exists() else gzip.open(f"{path}.gz")
