"""The formats by suffix, and how an export is written."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mlp_cli.errors import ConfigError, closest
from mlp_cli.inference.export.arrays import npz_bytes
from mlp_cli.inference.export.c_source import c_bytes
from mlp_cli.inference.export.checking import Agreement, Run, check
from mlp_cli.inference.export.onnx_model import onnx_bytes, run_onnx
from mlp_cli.inference.export.page.page import html_bytes
from mlp_cli.inference.export.plain import MARK
from mlp_cli.inference.export.safetensors_file import safetensors_bytes
from mlp_cli.inference.model import Model
from mlp_cli.storage.files import atomic_write, exists, storage_errors

START = 4096  # bytes of a file in which the mark must stand


class Format(NamedTuple):
    """How a file with some suffix is written.

    `encode` returns the whole content of the file. It needs `libraries`, which `extra` installs. If
    there is `run`, the content is checked with it (see `checking.check`) before it is written.
    A format that `takes_pixels` computes from an image, and so has no place for the views of it.
    """

    encode: Callable[[Model], bytes]
    run: Run | None = None
    extra: str = ""
    libraries: tuple[str, ...] = ()
    takes_pixels: bool = True


FORMATS = {
    ".onnx": Format(onnx_bytes, run_onnx, "onnx", ("onnx", "onnxruntime")),
    ".safetensors": Format(safetensors_bytes, None, "safetensors", ("safetensors",), False),
    ".html": Format(html_bytes),
    ".npz": Format(npz_bytes, takes_pixels=False),
    ".c": Format(c_bytes),
}


def check_file(path: Path) -> Format:
    """Return the format of a file after checking that an export may be written there.

    Raises
    ------
    ConfigError
        If the suffix is unknown, if an extra is missing, or if another file has this name.
    StorageError
        If the file that is there cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        known, meant = ", ".join(FORMATS), closest(suffix, FORMATS)
        hint = f" Did you mean {path.with_suffix(meant).name}?" if meant else ""
        raise ConfigError(f"{path}: the suffix must be one of {known}.{hint}")
    found = FORMATS[suffix]
    if any(find_spec(library) is None for library in found.libraries):
        raise ConfigError(
            f"{suffix} needs the extra `{found.extra}`: pip install 'mlp-cli[{found.extra}]'"
        )
    if exists(path) and path.is_file() and MARK.encode() not in _start(path):
        raise ConfigError(
            f"{path} is already there, and `mlp export` did not write it. Choose another name."
        )
    return found


def write_export(model: Model, path: Path, data_dir: Path) -> Agreement | None:
    """Write a model to a file, in the format of its suffix. An older export there is replaced.

    Parameters
    ----------
    model, path
        The model and the file.
    data_dir
        Where MNIST lies, in a folder `mnist`; some formats are checked on it.

    Returns
    -------
    Agreement or None
        How the file was checked before it was written, None if there is nothing to run it with.

    Raises
    ------
    ConfigError
        As `check_file`; or if the network sees views, which the format cannot hold.
    CheckpointError
        If the network does not fit into the format, or if the check fails.
    StorageError
        If the file cannot be written.
    """
    chosen = check_file(path)
    if chosen.takes_pixels and model.scaling.views is not None:
        others = " and ".join(suffix for suffix, of in FORMATS.items() if not of.takes_pixels)
        raise ConfigError(
            f"{path}: {model.path} was trained with data.views {list(model.config.data.views)}, "
            f"and a {path.suffix.lower()} file computes from the image alone. Only {others} can "
            "hold such a network: they are its weights, for a program that makes the views itself."
        )
    content = chosen.encode(model)
    agreement = chosen.run and check(model, content, chosen.run, data_dir)
    atomic_write(path, content)
    return agreement


def _start(path: Path) -> bytes:
    with storage_errors("read", path), path.open("rb") as file:
        return file.read(START)
