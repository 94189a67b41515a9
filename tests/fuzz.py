"""Fuzz a reader, guided by coverage: it must read its input or raise an error of the program.

    pip install atheris
    python tests/fuzz.py idx --runs 100000 [--corpus FOLDER] [--seconds 600]

The readers are idx, checkpoint, config and set. Any other exception ends the run with its input
in a file, as do 10 seconds for one input and 512 MiB of memory. Add what is found to the reader's
tests. Checkpoints are mutated within their members, and then get matching checksums, lengths and a
matching digest, because those would refuse almost any other input.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import random
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader, BytesIO
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["mlp_cli", "yaml", "json"]):
    import mlp_cli.config.load
    from mlp_cli.config.load import dump_config, load_config
    from mlp_cli.data.idx import read_idx
    from mlp_cli.errors import CheckpointError, ConfigError, DataError
    from mlp_cli.inference.model import Model
    from mlp_cli.storage.checkpoint import load_checkpoint
    from mlp_cli.storage.header import FIRST_STATE_FIELDS, State
    from mlp_cli.storage.npz import read_npz

from golden.make import FOLDER, probes
from helpers.craft import npy, sealed

# It makes the same JSON Schema for every fault, which takes nine tenths of a trial.
mlp_cli.config.load.options = functools.cache(mlp_cli.config.load.options)

ROOT = Path(__file__).parent.parent
SCRATCH = Path(tempfile.mkdtemp()) / "input"


def idx(data: bytes) -> None:
    SCRATCH.write_bytes(data)
    for ndim in (1, 3):
        try:
            found = read_idx(SCRATCH, ndim=ndim)
        except DataError:
            continue
        raw = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        assert raw[4 + 4 * ndim :] == found.tobytes()


def checkpoint(data: bytes) -> None:
    SCRATCH.write_bytes(data)
    try:
        found = load_checkpoint(SCRATCH)
        assert sum(array.nbytes for array in found.arrays.values()) <= len(data)
    except CheckpointError:
        return
    with suppress(CheckpointError):
        found.record("state", State, required=FIRST_STATE_FIELDS)
    with suppress(CheckpointError):
        model = Model(found)
        if model.image_shape == probes().shape[1:]:
            assert np.isfinite(model.predict_proba(probes())).all()


def config(data: bytes) -> None:
    SCRATCH.write_bytes(data)
    try:
        found = load_config(SCRATCH)
    except ConfigError:
        return
    SCRATCH.write_text(dump_config(found))
    assert load_config(SCRATCH) == found


def settings(data: bytes) -> None:
    empty = SCRATCH.with_name("empty")
    if not empty.exists():
        empty.write_text("{}")
    with suppress(ConfigError):
        load_config(empty, data.decode("utf-8", "surrogateescape").split("\n"))


def mutate_idx(data: bytes, size: int, seed: int) -> bytes:
    """Change the bytes, or the bytes inside a gzip file."""
    try:
        content = gzip.decompress(data) if seed % 2 else None
    except (OSError, EOFError, zlib.error):
        content = None
    if content is None:
        return atheris.Mutate(data, size)
    return gzip.compress(atheris.Mutate(content, size // 2), mtime=0)


def mutate_checkpoint(data: bytes, size: int, seed: int) -> bytes:
    """Change a checkpoint's header, an array or a member's header, and make the digest match."""
    generator = random.Random(seed)
    kind = generator.choice(["bytes", "header", "header", "array", "less", "member"])
    try:
        arrays = read_npz(BufferedReader(BytesIO(data)), len(data))
        text = arrays.pop("header").tobytes().decode("utf-32")
        del arrays["digest"]
        name = generator.choice(list(arrays))
    except (ValueError, LookupError):
        kind = "bytes"
    if kind == "bytes":
        return atheris.Mutate(data, size)
    members = {}
    if kind == "header":
        text = atheris.Mutate(text.encode(), 4000).decode("utf-8", "ignore")
    elif kind == "array":
        content = atheris.Mutate(arrays[name].tobytes(), 4000)
        whole = np.frombuffer(content[: len(content) // 4 * 4], "<f4")
        arrays[name] = whole.reshape(arrays[name].shape if whole.size == arrays[name].size else -1)
    elif kind == "less":
        del arrays[name]
    elif kind == "member":
        content = npy(arrays[name])
        members[name] = atheris.Mutate(content[:128], 140) + content[128:]
    return sealed(arrays, text, members)[:size]


def seeds(reader: str) -> list[bytes]:
    if reader == "idx":
        heads = [bytes([0, 0, 8, n]) + bytes([0, 0, 0, 2]) * n for n in (1, 3)]
        raw = [head + bytes(range(2**n)) for head, n in zip(heads, (1, 3), strict=True)]
        return raw + [gzip.compress(content) for content in raw]
    if reader == "checkpoint":
        return [path.read_bytes() for path in FOLDER.glob("*.npz")]
    texts = [path.read_bytes() for path in (ROOT / "configs").glob("*.yaml")]
    if reader == "config":
        return [*texts, b"{}"]
    lines = b"training.epochs=3\nmodel.hidden=[1, 2]\noptimizer={name: adam}\ndata.path=~"
    return [lines, *lines.split(b"\n")]


READERS: dict[str, Callable[[bytes], None]] = {
    "idx": idx,
    "checkpoint": checkpoint,
    "config": config,
    "set": settings,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--corpus", type=Path)
    chosen = parser.parse_args()
    corpus = chosen.corpus or Path(tempfile.mkdtemp())
    corpus.mkdir(exist_ok=True, parents=True)
    for number, content in enumerate(seeds(chosen.reader)):
        (corpus / f"seed-{number}").write_bytes(content)
    options = [
        sys.argv[0], str(corpus), f"-runs={chosen.runs}", f"-max_total_time={chosen.seconds}",
        "-timeout=10", "-rss_limit_mb=512", "-max_len=20000", "-print_final_stats=1",
    ]  # fmt: skip
    mutators = {"checkpoint": mutate_checkpoint, "idx": mutate_idx}
    own = {"custom_mutator": mutators[chosen.reader]} if chosen.reader in mutators else {}
    atheris.Setup(options, READERS[chosen.reader], **own)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
