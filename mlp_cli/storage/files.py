"""Files that are written whole or not at all.

A file is written under a temporary name in the same folder, forced to disk (`fsync`), and renamed.
Then the folder is forced to disk too. So a reader sees the whole old file or the whole new one,
even if the process is killed or the power fails. Each `fsync` is needed, because file systems may
reorder writes and renames (Pillai et al., OSDI 2014).
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mlp_cli.errors import StorageError, reason

MINUTE, DAY = 60.0, 86_400.0  # seconds


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
        raise StorageError(
            f"cannot {action} {path}: {reason(error)}. "
            "Check the free space and the permissions, or choose another folder."
        ) from error


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
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a folder or a device")
    # The name is chosen before the file is made: a signal between the two leaves no file behind.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:  # unlike mkstemp's, its mode follows the umask
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with storage_errors("write", path), atomic_writer(path) as file:
        file.write(content)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents if they are missing, and force their names to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def prepare_folder(folder: Path, names: Sequence[str]) -> None:
    """Make a folder for files of these names, and remove what killed processes left there.

    Only temporary files that are more than a day old are removed: a younger one may be in use.

    Raises
    ------
    StorageError
        If the folder cannot be made, or nothing can be written into it.
    """
    with storage_errors("write into", folder):
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):  # fail before any work is done
            pass
        for path in (path for name in names for path in folder.glob(f".{name}.*.tmp")):
            if not _changed_within(DAY, path):
                with suppress(OSError):
                    path.unlink()


@contextmanager
def wait_for_other_fetchers(
    folder: Path, patience: float, deadline: float, on_wait: Callable[[], object]
) -> Iterator[None]:
    """If another process is in such a block for `folder`, wait for it and then use its files.

    The block holds a lock on the folder. The lock saves work, and nothing may depend on it: not
    every file system has locks, and the waiting has limits.

    Parameters
    ----------
    folder
        Where the processes write.
    patience
        Seconds to wait without a sign of progress, which is a temporary file in `folder` that
        changed within the last minute. A stopped process, or an old file of a killed one, gives no
        such sign.
    deadline
        The time at which the waiting ends in any case, as `time.monotonic` counts it.
    on_wait
        Called once before the waiting begins.

    Raises
    ------
    StorageError
        If the folder cannot be opened.
    """
    with storage_errors("open", folder):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        until, waiting = time.monotonic() + patience, False
        while not _try_lock(descriptor) and time.monotonic() < min(until, deadline):
            if not waiting:
                on_wait()
            waiting = True
            if any(_changed_within(MINUTE, path) for path in folder.glob(".*.tmp")):
                until = time.monotonic() + patience
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def _changed_within(seconds: float, path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < seconds
    except OSError:  # the file has just been renamed to its final name
        return True


def _try_lock(descriptor: int) -> bool:
    """Lock an open folder; return False if another process holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this file system has no locks
        pass
    return True


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to disk, so that a rename survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: this file system cannot sync folders
            raise
    finally:
        os.close(descriptor)
