"""Two small files in place of MNIST's, and functions that serve and fetch them."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.servers import Client
from mlp_cli.data.download import fetch_mnist
from mlp_cli.data.mnist import MnistFile
from mlp_cli.errors import DownloadError


def idx(array: np.ndarray) -> bytes:
    """Return the bytes of an IDX file with a uint8 array."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


# Images of noise, which cannot be compressed, and labels, which can.
RAW = {
    "images": idx(np.random.default_rng(5).integers(0, 256, (40, 28, 28)).astype(np.uint8)),
    "labels": idx(np.arange(900, dtype=np.uint8) % 10),
}
PACKED = {name: gzip.compress(content, mtime=0) for name, content in RAW.items()}
BLOCK = 256
FILES = [
    MnistFile(
        name,
        len(content),
        hashlib.sha256(content).hexdigest(),
        BLOCK,
        "".join(
            f"{zlib.crc32(content[at : at + BLOCK]):08x}" for at in range(0, len(content), BLOCK)
        ),
    )
    for name, content in RAW.items()
]
IMAGES, LABELS = FILES


def name_of(client: Client) -> str:
    return client.request.path.rsplit("/", 1)[1]


def packed_for(client: Client) -> bytes:
    return PACKED[name_of(client).removesuffix(".gz")]


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def serve_packed(client: Client) -> None:
    content = PACKED.get(name_of(client).removesuffix(".gz"))
    if content is None or not name_of(client).endswith(".gz"):
        client.answer(b"no", status="404 Not Found")
    else:
        client.answer(content)


# A program that is `mlp` with these files and no built-in mirrors: python -c MLP FILES ARGUMENT...
MLP = """
import json, sys
from mlp_cli.cli.main import main
from mlp_cli.data import download
from mlp_cli.data.mnist import MnistFile
download.MIRRORS = ()
files = [MnistFile(*file) for file in json.loads(sys.argv[1])]
download.fetch_mnist.__kwdefaults__["files"] = files
main(sys.argv[2:])
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Fetch:
    """Calls `fetch_mnist` for a folder, and keeps its log lines and its progress."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.progress: list[tuple[str, int, int | None]] = []

    def __call__(self, *mirrors: object, **options: Any) -> list[str]:
        paths = fetch_mnist(
            self.folder,
            [str(mirror) for mirror in mirrors],
            **{"files": FILES, **options},
            log=self.lines.append,
            progress=lambda *step: self.progress.append(step),
        )
        return [path.name for path in paths]

    def fails(self, *mirrors: object, **options: Any) -> str:
        """Check that a fetch fails and leaves no files; return the message."""
        with pytest.raises(DownloadError) as caught:
            self(*mirrors, **options)
        assert names(self.folder) == []
        for mirror in mirrors:
            assert f"  {mirror}: " in str(caught.value)
        assert "--mirror" in str(caught.value)
        assert str(self.folder) in str(caught.value)
        return str(caught.value)

    def check(self) -> None:
        """Check that the folder holds exactly the right files."""
        assert {path.name: path.read_bytes() for path in self.folder.iterdir()} == RAW
