"""Two small files in the place of MNIST's, and a server that has them."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np
from conftest import idx
from servers import Client

from mlp_cli.mnist import MnistFile

# Noise, which does not compress, and labels, which do.
RAW = {
    "images": idx(np.random.default_rng(5).integers(0, 256, (40, 28, 28)).astype(np.uint8)),
    "labels": idx(np.arange(900, dtype=np.uint8) % 10),
}
PACKED = {name: gzip.compress(content, mtime=0) for name, content in RAW.items()}
FILES = [
    MnistFile(name, len(content), hashlib.sha256(content).hexdigest())
    for name, content in RAW.items()
]
IMAGES, LABELS = FILES


def name_of(client: Client) -> str:
    return client.request.path.rsplit("/", 1)[1]


def packed_for(client: Client) -> bytes:
    return PACKED[name_of(client).removesuffix(".gz")]


def serve_packed(client: Client) -> None:
    content = PACKED.get(name_of(client).removesuffix(".gz"))
    if content is None or not name_of(client).endswith(".gz"):
        client.answer(b"no", status="404 Not Found")
    else:
        client.answer(content)


# `mlp` for these files, without the built-in mirrors: python -c MLP FILES ARGUMENT...
MLP = """
import json, sys
from mlp_cli import cli, download
from mlp_cli.mnist import MnistFile
download.MIRRORS = ()
files = [MnistFile(*file) for file in json.loads(sys.argv[1])]
download.fetch_mnist.__kwdefaults__["files"] = files
cli.main(sys.argv[2:])
"""
