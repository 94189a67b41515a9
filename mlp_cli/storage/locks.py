"""Locks on folders: one process at a time has the lock, and a process that ends gives it back.

A POSIX system locks the folder itself. Windows can neither open nor lock a folder. There, the file
`.lock` in the folder is opened, and its first byte is locked. The file stays in the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HELD: type[OSError]  # is raised if another process holds the lock

try:
    import fcntl

    WINDOWS, _HELD = False, BlockingIOError
except ImportError:
    import msvcrt

    WINDOWS, _HELD = True, PermissionError

LOCK_FILE = ".lock"
LOCK_FILES = {LOCK_FILE} if WINDOWS else set()  # what locking leaves in a folder


def lockable(folder: Path) -> Path:
    """Return what is locked for a folder: the folder itself, or the file in it."""
    return folder / LOCK_FILE if WINDOWS else folder


def open_lockable(folder: Path) -> int:
    """Open what is locked for a folder, and return the descriptor.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    return os.open(lockable(folder), os.O_RDONLY | (os.O_CREAT if WINDOWS else 0), 0o666)


@contextmanager
def opened_lockable(folder: Path) -> Iterator[int]:
    """Open what is locked for a folder, and give its descriptor to the block.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    descriptor = open_lockable(folder)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # nothing was written through it
            os.close(descriptor)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open folder, perhaps with others; return False if another process holds the lock.

    Windows has no lock that is shared.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    try:
        if WINDOWS:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except _HELD:
        return False
    return True
