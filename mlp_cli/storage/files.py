"""Files that land whole or not at all.

A file is written under a unique name beside its final one, forced to disk, and renamed; then the
folder is forced to disk too. At any instant, whatever is killed or unplugged, a reader sees the
whole old file or the whole new one (Pillai et al., OSDI 2014: never rely on the order of renames
and writes alone).
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

from mlp_cli.errors import StorageError

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
            f"cannot {action} {path}: {error.strerror or error}. "
            "Check the free space and the permissions, or choose another place."
        ) from error


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path` when the block ends without an exception.

    Where the block raises, the temporary file is removed and `path` is left as it was.

    Raises
    ------
    OSError
        If it cannot be written, or `path` is a folder or device, which renaming would replace.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "a folder or device stands there")
    # Named before it is made, so that a signal at any instant leaves nothing behind.
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
    """Make a folder, and those above it, where it is not there; force their names to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def prepare_folder(folder: Path, names: Sequence[str]) -> None:
    """Make a folder for files of these names, and sweep it of what killed processes left.

    A temporary file is swept when it is a day old: a younger one may be in use.

    Raises
    ------
    StorageError
        If it cannot be made, or nothing can be written into it.
    """
    with storage_errors("write into", folder):
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):  # to know it before any work is done
            pass
        for path in (path for name in names for path in folder.glob(f".{name}.*.tmp")):
            if not _changed_within(DAY, path):
                with suppress(OSError):
                    path.unlink()


@contextmanager
def wait_for_other_fetchers(
    folder: Path, patience: float, deadline: float, on_wait: Callable[[], object]
) -> Iterator[None]:
    """Wait for other processes that fill `folder` in such a block, to find there what they wrote.

    It saves work, and nothing may depend on it: not every file system has locks, and a holder is
    waited for no longer than `patience` seconds without a temporary file that grew within the last
    minute, the sign that it writes: one that was stopped, or left by a kill, is none.

    Parameters
    ----------
    folder, patience
        As above.
    deadline
        When the waiting ends at the latest, by `time.monotonic`.
    on_wait
        Called before the waiting begins.
    """
    with storage_errors("open", folder):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        until, waiting = time.monotonic() + patience, False
        while not _locked(descriptor) and time.monotonic() < min(until, deadline):
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
    except OSError:  # it has just become the file that it was for
        return True


def _locked(descriptor: int) -> bool:
    """Lock an open folder; return False where another process has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system
        pass
    return True


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to disk, so that a rename survives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # which a file system gives that cannot do it at all
            raise
    finally:
        os.close(descriptor)
