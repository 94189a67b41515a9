"""Which folder a run gets: the one that the user names, or a new one in `runs`."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Literal

from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.runs.folder import EVENTS, FILES, TEMPORARY, RunFolder, holds_run
from mlp_cli.storage.files import mode_of, storage_errors, sync_folder
from mlp_cli.storage.folders import make_folder
from mlp_cli.storage.locks import LOCK_FILES

Mode = Literal["new", "resume", "overwrite"]


def check_out(path: Path, mode: Mode) -> None:
    """Refuse a folder that `mode` does not allow. Nothing is made or removed.

    Raises
    ------
    ConfigError
        If the folder holds a run and `mode` is "new", or if it holds files and no run.
    StorageError
        If `path` is not a folder or cannot be read, or if one of a run's files is not a regular
        file.
    """
    with storage_errors("use", path):
        try:
            entries = {*os.listdir(path)} - LOCK_FILES  # noqa: PTH208
        except FileNotFoundError:
            if path.is_symlink():
                raise
            return
    names = {entry for entry in entries if not TEMPORARY.fullmatch(entry)}
    has_run = holds_run(names)
    if names and not has_run:
        raise ConfigError(
            f"--out {path}: the folder is not empty and holds no run. Choose another folder."
        )
    if has_run and mode == "new":
        raise ConfigError(
            f"--out {path}: the folder already holds a run. Give --resume to continue it, "
            "--overwrite to replace it, or another folder."
        )
    for name in sorted(name for name in names if name in FILES or EVENTS.fullmatch(name)):
        with storage_errors("read", path / name):
            is_file = stat.S_ISREG(mode_of(path / name) or 0)
        if not is_file:  # opening a FIFO would wait forever
            raise StorageError(f"{path / name}: it is not a regular file. Remove it.")


def run_name(config: Path) -> str:
    """Return the name for runs of the configuration in a file.

    It is the name of the file; but if that is the `config.yaml` of a run, that of the run's folder.

    Raises
    ------
    StorageError
        If the file's folder cannot be read.
    """
    if config.name == "config.yaml":
        with storage_errors("read", config.parent):
            folder = config.parent.resolve()
            if holds_run({entry.name for entry in folder.iterdir()}):
                return folder.name
    return config.stem


def claim(out: Path | None, config_name: str) -> RunFolder:
    """Make the run's folder: `out`, or if it is None the first free `runs/<name>-1`, `-2`, ….

    Making a folder is atomic, so runs that start at the same time get different folders.

    Raises
    ------
    StorageError
        If the folder cannot be made.
    """
    if out is not None:
        with storage_errors("make", out):
            return RunFolder(out, make_folder(out))
    name = re.sub(r"[^A-Za-z0-9._-]", "_", config_name).lstrip(".-")[:100] or "run"
    runs, number = Path("runs"), 1
    with storage_errors("make a folder in", runs):
        while True:
            made, path = make_folder(runs), runs / f"{name}-{number}"
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
            except FileNotFoundError:  # another run has failed, and removed `runs`, which it made
                continue
            else:
                sync_folder(runs)
                return RunFolder(path, [*made, path])
