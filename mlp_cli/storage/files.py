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
import fcntl
import os
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mlp_cli.errors import StorageError, StorageWarning, reason
from mlp_cli.storage.remedies import remedy

# What `fsync` of a file reports if the file system does not have it. After any other error, data
# may be lost.
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)

# What `fsync` of a folder reports if names may be lost, or if the folder is gone. The other errors
# are those of file systems that cannot sync folders. EIO is one of them.
_NAMES_LOST = (errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ESTALE)

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
    missing = [path for path in (folder, *folder.parents) if mode_of(path) is None]
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
    with suppress(OSError):  # what is left there does no harm
        for path in (path for name in names for path in folder.glob(f".{name}.*.tmp")):
            if not _changed_within(DAY, path):
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
    with ExitStack() as at_the_end:
        with storage_errors("open", folder):
            descriptor = at_the_end.enter_context(opened_folder(folder))
        until, waiting = time.monotonic() + patience, False
        while not _try_lock(descriptor) and time.monotonic() < min(until, deadline):
            if not waiting:
                on_wait()
            waiting = True
            with suppress(OSError):  # of a folder that cannot be listed, nothing is known
                if any(_changed_within(MINUTE, path) for path in folder.glob(".*.tmp")):
                    until = time.monotonic() + patience
            time.sleep(0.1)
        yield


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

    If its file system cannot do that, there is a `StorageWarning`.

    Raises
    ------
    OSError
        If the disk is full, or the folder is gone.
    """
    try:
        with opened_folder(folder) as descriptor:
            os.fsync(descriptor)
    except OSError as error:
        if error.errno in _NAMES_LOST:
            raise
        _warn_of_no_sync(folder, error)


@contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """Open a folder, and give its descriptor to the block.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # nothing was written through it
            os.close(descriptor)


def _warn_of_no_sync(path: Path, error: OSError) -> None:
    lack = "the file system cannot force changes to disk"
    harm = "If the power fails, the latest files may be lost"
    warnings.warn(StorageWarning(path, f"{lack} ({reason(error)}). {harm}."), stacklevel=3)
