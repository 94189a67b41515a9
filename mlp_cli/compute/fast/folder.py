"""The folder for compiled code.

It is the first that can be written: NUMBA_CACHE_DIR, the `__pycache__` of the package, the user's
cache (XDG_CACHE_HOME or `~/.cache`), a private one among the temporary files.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mlp_cli.compute.fast.settings import FOLDER

_NAME = "mlp-kernels"


def find_folder(package: Path) -> Path | None:
    """Return the folder for the code of a package; None if no folder can be written."""
    for folder in _folders(package):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder.absolute()
    return None


def _folders(package: Path) -> Iterator[Path]:
    named = os.environ.get(FOLDER)
    if named:
        yield Path(named, _NAME)
    yield package / "__pycache__"
    with suppress(RuntimeError):  # the user has no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / _NAME
    for parent in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):
        private = private_folder(Path(parent)) if parent else None
        if private is not None:
            yield private


def private_folder(parent: Path) -> Path | None:
    """Make a folder in `parent` that is provably this user's alone, and return it, or else None.

    What is kept there is code, which the process runs. So the folder must not be
    one that another user made, can write, or can replace: it is no link, this user owns it and
    nobody else has any rights, and each folder above it belongs to this user or to root and lets
    no other user rename what it holds.
    """
    try:
        folder = parent.resolve(strict=True) / f"{_NAME}-{os.geteuid()}"
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if is_own and not found.st_mode & 0o077 and all(map(_is_safe, folder.parents)):
            return folder
    except OSError:  # there is no such folder, or it cannot be written
        pass
    return None


def _is_safe(folder: Path) -> bool:
    found = folder.stat()
    is_shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    return found.st_uid in (0, os.geteuid()) and not is_shared
