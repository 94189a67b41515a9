"""Checkpoints: one `.npz` of plain arrays, a JSON header and a digest over both.

    layers.0.weight (out, in), layers.0.bias (out,), layers.1.weight, …
    input.mean, input.std      the network sees (pixel / 255 − mean) / std
    optimizer.<slot> (P,)      in last.npz alone: all weights layer by layer, then all biases
    header                     JSON: format, config, data, state, environment
    digest                     SHA-256 over the header and every array, in hexadecimal

`numpy.load(path, allow_pickle=False)` opens it; nothing in it can run code. Members are stored, not
compressed, so a file can never unfold to more than its own size.
"""

from __future__ import annotations

import hashlib
import json
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.errors import CheckpointError, ConfigError, StorageError
from mlp_cli.files import atomic_writer, storage_errors
from mlp_cli.metrics import to_json

FORMAT = 1

# What zipfile and numpy.load raise on damaged bytes.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: its file, its arrays by name, and its header."""

    path: Path
    arrays: dict[str, NDArray[Any]]
    header: dict[str, Any]

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return one array after checking that it is there, floating, finite and of that shape.

        Raises
        ------
        CheckpointError
            Where it is not.
        """
        value = self.arrays.get(name)
        found = "is missing" if value is None else f"has shape {value.shape}, type {value.dtype}"
        if value is None or value.shape != shape or value.dtype.kind != "f":
            raise CheckpointError(
                f"{self.path}: {name} {found}; its configuration needs {shape}. "
                "Train again, or use another checkpoint."
            )
        if not np.isfinite(value).all():
            raise CheckpointError(
                f"{self.path}: {name} holds values that are not finite. Use another checkpoint."
            )
        return value


def save_checkpoint(path: Path, arrays: dict[str, NDArray[Any]], header: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    StorageError
        If it cannot be written; a checkpoint that was there before is still there.
    """
    text = to_json({"format": FORMAT, **header})
    members = {**arrays, "header": np.array(text), "digest": np.array(_digest(arrays, text))}
    with storage_errors("write", path), atomic_writer(path) as file:
        np.savez(file, allow_pickle=False, **members)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check its digest.

    Raises
    ------
    ConfigError
        If there is no such file.
    CheckpointError
        If it is damaged, or of a format that this release does not know.
    StorageError
        If it may not be read.
    """
    try:
        with storage_errors("read", path), path.open("rb"):
            pass
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise ConfigError(
                f"{path}: there is no such checkpoint. Give a run's folder, or an .npz in it."
            ) from error
        raise
    try:
        members = _read_members(path)
        text = str(members.pop("header")[()])
        digest = str(members.pop("digest")[()])
        header = json.loads(text)
        sound = digest == _digest(members, text) and isinstance(header, dict)
    except _DAMAGE as error:
        raise CheckpointError(_damaged(path, f"{type(error).__name__}: {error}")) from error
    if not sound:
        raise CheckpointError(_damaged(path, "its digest does not match its content"))
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: checkpoint format {header.get('format')}, where this release reads "
            f"{FORMAT}. Use the release that wrote it."
        )
    return Checkpoint(path, members, header)


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path} is damaged or no checkpoint of mlp: {' '.join(why.split())[:200]}. "
        "Use another checkpoint (a run keeps best.npz and last.npz), or train again."
    )


def _read_members(path: Path) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len({info.filename for info in infos}) != len(infos):
            raise ValueError("a name stands twice in it")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise ValueError("it is compressed")
        if sum(info.file_size for info in infos) > path.stat().st_size:
            raise ValueError("its members claim more bytes than it has")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _digest(arrays: dict[str, NDArray[Any]], header: str) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
