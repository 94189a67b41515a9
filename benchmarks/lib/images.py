"""Folders with some or several times MNIST's training images."""

from __future__ import annotations

import gzip
from pathlib import Path


def training_images(folder: Path) -> int:
    """Return the number of training images in a folder, from the file's header."""
    path = folder / "train-images-idx3-ubyte"
    with path.open("rb") if path.exists() else gzip.open(f"{path}.gz") as file:
        return int.from_bytes(file.read(8)[4:], "big")


def raw_copy(data: Path, folder: Path, images: int) -> Path:
    """Write MNIST's files unpacked, with the first `images` training images.

    If that is more than there are, they are repeated.
    """
    folder.mkdir()
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        raw = _unpacked(data / name)
        header = 4 + 4 * raw[3]
        n, body = int.from_bytes(raw[4:8], "big"), raw[header:]
        copies, rest = divmod(images, n)
        with (folder / name).open("wb") as file:
            file.write(raw[:4] + images.to_bytes(4, "big") + raw[8:header])
            for _ in range(copies):
                file.write(body)
            file.write(body[: rest * (len(body) // n)])
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (folder / name).write_bytes(_unpacked(data / name))
    return folder


def _unpacked(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
