"""Checkpoints: one `.npz` of plain arrays, a JSON header, and a digest over both.

    layers.0.weight (out, in), layers.0.bias (out,), layers.1.weight, …
    input.mean, input.std      the network sees (pixel / 255 − mean) / std
    optimizer.<slot> (P,)      in last.npz alone: all weights layer by layer, then all biases
    decoder.0.weight (n, m), decoder.0.combinator (n, 10), …    in last.npz alone
    header                     JSON: format, and the records of `header.Header`
    digest                     SHA-256 over the header and every array, in hexadecimal

`numpy.load(path, allow_pickle=False)` opens it, and nothing in it can run code. Members are stored,
not compressed, so a file never unfolds to more than its own size. Reading one takes its size in
memory, and a network made of it takes at most as much again.

A release reads what any earlier one wrote. Other names in the header are ignored, and so is the
state if a network is only used. An array that has no place in the configuration is refused. If
training continues, so is a field of the state that this release does not know: the training would
not go on as it would have. A field that a later release added to the state or to the record of the
data is missing in older files, and takes its default.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlp_cli.errors import CheckpointError, ConfigError, reason
from mlp_cli.storage.files import atomic_writer, storage_errors
from mlp_cli.storage.header import FIRST_DATA_FIELDS, FIRST_STATE_FIELDS, DataRecord, State
from mlp_cli.storage.npz import read_npz, write_npz
from mlp_cli.storage.strict_json import from_json, record_faults, shown, to_json

FORMAT = 1
MAX_HEADER = 1 << 18  # characters; a header has a few thousand

# Earlier builds wrote checkpoints by `savez(allow_pickle=False)`, and NumPy below 2.2 took the
# option for one more array. The digest does not cover it.
_NO_ARRAY = "allow_pickle"

Record = TypeVar("Record")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: its file, its arrays by name, and its header as plain data."""

    path: Path
    arrays: dict[str, NDArray[Any]]
    header: dict[str, Any]

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array after checking that it is there, with this shape and type.

        Raises
        ------
        CheckpointError
            If it is not.
        """
        value, dtype = self.arrays.get(name), np.dtype(dtype)
        found = "is missing" if value is None else f"has shape {value.shape}, type {value.dtype}"
        if value is None or value.shape != shape or value.dtype != dtype:
            raise CheckpointError(
                f"{self.path}: {name} {found}; its configuration needs {shape}, type {dtype}. "
                "Train again, or use another checkpoint."
            )
        return value

    def check_names(self, needed: Iterable[str]) -> None:
        """Check that it holds no other arrays than these.

        Raises
        ------
        CheckpointError
            If it does.
        """
        needless = sorted(set(self.arrays) - set(needed))
        if needless:
            raise CheckpointError(
                f"{self.path}: it holds {shown(needless)}, which have no place in its "
                "configuration. Use the release that wrote it, or another checkpoint."
            )

    def data(self) -> DataRecord:
        """Return the record of the data it was trained on.

        Raises
        ------
        CheckpointError
            If it is not a record of this release.
        """
        return self.record("data", DataRecord, required=FIRST_DATA_FIELDS)

    def state(self) -> State:
        """Return where the training stood.

        Raises
        ------
        CheckpointError
            If it is not a state of this release.
        """
        return self.record("state", State, required=FIRST_STATE_FIELDS)

    def environment(self) -> dict[str, Any]:
        """Return the record of the machine that wrote it.

        Raises
        ------
        CheckpointError
            If it holds none.
        """
        environment = self.header.get("environment")
        if not isinstance(environment, dict):
            raise self.unfit("its header holds no environment")
        return environment

    def record(
        self, name: str, kind: type[Record], required: Collection[str] | None = None
    ) -> Record:
        """Return a record of the header, after checking its fields.

        Every number in it is finite and at least 0. `required` are the fields that must be there,
        all if it is None.
        """
        found, types = self.header.get(name), get_type_hints(kind)
        if not isinstance(found, dict):
            raise self.unfit(f"its {name} is {shown(found)}, not a mapping")
        wrong = [f"holds {shown(field)}, unknown here" for field in found if field not in types]
        wrong += record_faults(found, kind, required)
        if wrong:
            raise self.unfit(f"its {name} {'; '.join(wrong[:5])}")
        return kind(**found)

    def unfit(self, why: str) -> CheckpointError:
        """Return the error that says why it does not fit this release or this use."""
        return CheckpointError(
            f"{self.path}: {why}. Use the release that wrote it, or another checkpoint."
        )


def save_checkpoint(
    path: Path,
    arrays: dict[str, NDArray[Any]],
    header: dict[str, Any],
    check: Callable[[], object] = lambda: None,
) -> None:
    """Write a checkpoint, whole or not at all.

    `check` is called when the temporary file is open; if it raises, nothing is written.

    Raises
    ------
    StorageError
        If it cannot be written; a checkpoint that was there before is still there.
    """
    text = to_json({"format": FORMAT, **header})
    members = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    members |= {"header": np.array(text), "digest": np.array(_digest(arrays, text))}
    with storage_errors("write", path), atomic_writer(path) as file:
        check()
        write_npz(file, members)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, and check its digest and that all its values are finite.

    Raises
    ------
    ConfigError
        If there is no such file.
    CheckpointError
        If it is damaged, of a format that this release does not know, or holds a NaN or infinity.
    StorageError
        If it may not be read.
    """
    with storage_errors("read", path):
        _check_regular(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            try:
                members = read_npz(file, size)
                text, digest = (_text(members.pop(name, None)) for name in ("header", "digest"))
                members.pop(_NO_ARRAY, None)
                if digest != _digest(members, text):
                    raise ValueError("its digest does not match its content")
                header = _header(text)
            except ValueError as error:
                raise CheckpointError(
                    f"{path} is damaged or no checkpoint of mlp: {reason(error)[:200]}. Use "
                    "another checkpoint (a run keeps best.npz and last.npz), or train again."
                ) from error
            except MemoryError as error:
                raise CheckpointError(
                    f"{path}: its {size:,} bytes do not fit into memory. Use a machine with more."
                ) from error
    found = header.get("format")
    if type(found) is not int or found != FORMAT:
        raise CheckpointError(
            f"{path}: checkpoint format {shown(found)}, but this release reads {FORMAT}. "
            "Use the release that wrote it."
        )
    for name, array in members.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise CheckpointError(
                f"{path}: {name} holds text, or values that are not finite. Use another checkpoint."
            )
    return Checkpoint(path, members, header)


def _digest(arrays: dict[str, NDArray[Any]], header: str) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _text(member: NDArray[Any] | None) -> str:
    if member is None or member.dtype.kind != "U" or member.shape:
        raise ValueError("its header or its digest is missing")
    if member.itemsize > 4 * MAX_HEADER:
        raise ValueError(f"its header is longer than {MAX_HEADER} characters")
    # str() of the array would make a character of any number in it.
    return member.tobytes().decode("utf-32-be" if member.dtype.str[0] == ">" else "utf-32-le")


def _header(text: str) -> dict[str, Any]:
    """Parse the JSON of a header."""
    header = from_json(text)
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    return header


def _check_regular(path: Path) -> None:
    """Refuse what is missing, and what is no file: reading a FIFO would wait for a writer."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{path}: there is no such checkpoint. Give a run's folder, or an .npz in it."
        ) from None
    if not regular:
        raise ConfigError(f"{path}: a folder or device. A checkpoint is a regular file.")
