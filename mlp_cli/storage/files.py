"""Files that are written whole or not at all.

A file is written under a temporary name in the same folder, forced to disk (`fsync`), and renamed.
Then the folder is forced to disk too. So a reader sees the whole old file or the whole new one,
even if the process is killed or the power fails. Each `fsync` is needed, because file systems may
reorder writes and renames (Pillai et al., OSDI 2014).

Some file systems (encrypted, in user space, of another system) have no `fsync`, or only for files.
They are used as they are, with a `StorageWarning`: only a loss of power can then do harm. It is one
of Python's own warnings, because the functions that write are called from everywhere, and would
else have to pass on whom to warn. `cli.main` shows each of them once.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mlp_cli.errors import ConfigError, StorageError, StorageWarning, reason
from mlp_cli.storage.locks import WINDOWS, opened_lockable
from mlp_cli.storage.remedies import remedy

# What `fsync` of a file reports if the file system does not have it. After any other error, data
# may be lost.
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)

# What `fsync` of a folder reports if names may be lost, or if the folder is gone. The other errors
# are those of file systems that cannot sync folders. EIO is one of them.
_NAMES_LOST = (errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ESTALE)

# Seconds between the tries to replace a file that another program has open, on Windows alone.
_PAUSES = tuple(0.01 * 2**i for i in range(8))


@contextmanager
def storage_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` from the block into a `StorageError` that names `action` and `path`.

    Raises
    ------
    StorageError
        In place of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {action} {path}: {reason(error)}. {remedy(error)}") from error


def mode_of(path: Path) -> int | None:
    """Return the mode of what is at `path`, None if nothing is there, as behind a broken link.

    `Path.exists` and `Path.is_file` would not do: in newer Pythons they are False after any error.

    Raises
    ------
    OSError
        If it cannot be told, for example because a folder above `path` may not be searched.
    """
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
    except ValueError:  # the path holds a NUL character
        pass
    return None


def exists(path: Path) -> bool:
    """Return whether something is at `path`.

    Raises
    ------
    StorageError
        If that cannot be told.
    """
    with storage_errors("read", path):
        return mode_of(path) is not None


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path` if the block ends without an exception.

    If the block raises, the temporary file is removed and `path` stays as it was.

    Raises
    ------
    OSError
        If the file cannot be written, or if `path` is a folder or a device, which the rename would
        replace.
    """
    mode = mode_of(path)
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(errno.EEXIST, "it is a folder or a device")
    # The name is chosen before the file is made: a signal between the two leaves no file behind.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:  # unlike mkstemp's, its mode follows the umask
            yield file
            sync_file(file, path)
        _replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def _replace(temporary: Path, path: Path) -> None:
    for pause in _PAUSES if WINDOWS else ():
        try:
            temporary.replace(path)
        except PermissionError:  # a reader or a virus scanner holds it for a moment
            time.sleep(pause)
        else:
            return
    temporary.replace(path)


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with storage_errors("write", path), atomic_writer(path) as file:
        file.write(content)


def write_new(path: Path, content: bytes) -> None:
    """Write `content` to a file that is not there yet.

    Raises
    ------
    ConfigError
        If something has that name already, even a broken link. It stays as it is.
    StorageError
        If the disk is full or the folder cannot be written. Then no file is left.
    """
    with storage_errors("write", path):
        try:
            file = path.open("xb")
        except FileExistsError as error:
            raise ConfigError(f"{path} is already there. Choose another name.") from error
        try:
            with file:
                file.write(content)
                sync_file(file, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def sync_file(file: BinaryIO, path: Path) -> None:
    """Force an open file to disk, with a `StorageWarning` if its file system has no `fsync`.

    `path` is the name to show.

    Raises
    ------
    OSError
        If data may be lost.
    """
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        _warn_of_no_sync(path, error)


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to disk, so that a rename survives a power failure.

    If its file system cannot do that, there is a `StorageWarning`. On Windows nothing is done,
    because no program can force a folder to disk there.

    Raises
    ------
    OSError
        If the disk is full, or the folder is gone.
    """
    if WINDOWS:
        return
    try:
        with opened_lockable(folder) as descriptor:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno in _NAMES_LOST:
            raise
        _warn_of_no_sync(folder, error)


def _warn_of_no_sync(path: Path, error: OSError) -> None:
    lack = "the file system cannot force changes to disk"
    harm = "If the power fails, the latest files may be lost"
    warnings.warn(StorageWarning(path, f"{lack} ({reason(error)}). {harm}."), stacklevel=3)
