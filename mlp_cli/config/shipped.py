"""The configurations that come with the program, found by name: `mnist`, `recipes/record`.

A wheel carries the files of `configs/` in `mlp_cli/config/configs/`. A checkout has them in
`configs/` at its top, and an editable installation uses those.
"""

from __future__ import annotations

import difflib
import stat
from pathlib import Path
from typing import NamedTuple

from mlp_cli.errors import ConfigError
from mlp_cli.storage.files import mode_of, storage_errors
from mlp_cli.storage.paths import STREAM

SUFFIX = ".yaml"
DEFAULT = "mnist"  # is taken if a command is given no configuration


class ShippedConfig(NamedTuple):
    """A shipped configuration: its name, the first line of its comment, and its file."""

    name: str
    description: str
    path: Path


def shipped_configs() -> list[ShippedConfig]:
    """Return all shipped configurations, the recipes last."""
    return [ShippedConfig(name, _first_line(path), path) for name, path in _shipped_files().items()]


def default_config_file() -> Path:
    """Return the file of the shipped configuration `DEFAULT`."""
    return _shipped_files()[DEFAULT]


def find_config(name: Path) -> Path:
    """Return the file of a configuration: `name` if that is a file or `-`, else the shipped one.

    Parameters
    ----------
    name
        A path, or the name of a shipped configuration with or without `.yaml`.

    Raises
    ------
    ConfigError
        If there is neither a file nor a shipped configuration of that name.
    StorageError
        If the path may not be read.
    """
    with storage_errors("read", name):
        mode = mode_of(name)
    is_folder = stat.S_ISDIR(mode or 0)
    if name == STREAM or (mode is not None and not is_folder):
        return name
    files = _shipped_files()
    wanted = name.as_posix().removesuffix(SUFFIX)
    if wanted in files:
        return files[wanted]
    if is_folder:
        return name  # its reader reports that it is a folder
    last_parts = {Path(known).name for known in files}
    close = difflib.get_close_matches(Path(wanted).name.lower(), last_parts, 3)
    meant = " or ".join(known for part in close for known in files if Path(known).name == part)
    hint = f" Did you mean {meant}?" if meant else ""
    raise ConfigError(
        f"{name}: there is no such file, and no shipped configuration of that name.{hint} "
        "`mlp config list` shows the shipped ones."
    )


def shipped_name(file: Path) -> str | None:
    """Return `shipped NAME` for the file of a shipped configuration, and None for another file."""
    return next((f"shipped {name}" for name, of in _shipped_files().items() if of == file), None)


def _shipped_files() -> dict[str, Path]:
    """Return the shipped files by name, those of the top folder first."""
    package = Path(__file__).resolve().parent
    folder = package / "configs"
    if not folder.is_dir():
        folder = package.parents[1] / "configs"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob(f"*{SUFFIX}")}
    names = sorted(files, key=lambda name: (name.count("/"), name))
    return {name.removesuffix(SUFFIX): files[name] for name in names}


def _first_line(path: Path) -> str:
    """Return the first line of the comment that a file begins with."""
    with storage_errors("read", path):
        return path.read_text("utf-8", "replace").partition("\n")[0].removeprefix("#").strip()
