"""Folders that several processes write into: made, kept tidy, and used by one at a time."""

from __future__ import annotations

import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mlp_cli.storage.files import mode_of, storage_errors, sync_folder
from mlp_cli.storage.locks import opened_lockable, try_lock

MINUTE, DAY = 60.0, 86_400.0  # seconds


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and its parents if they are missing, and force their names to disk.

    Returns the folders that were made, the outermost first.

    Raises
    ------
    OSError
        If one cannot be made. Then none is left that was made.
    """
    missing = [path for path in (folder, *folder.parents) if mode_of(path) is None]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            if not _make(path):
                continue
            made.append(path)
            sync_folder(path.parent)
    except OSError:
        with suppress(OSError):  # another process has put something into one
            for path in reversed(made):
                path.rmdir()
        raise
    return made


def _make(folder: Path) -> bool:
    """Make one folder; return False if it is there already."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not stat.S_ISDIR(mode_of(folder) or 0):
            raise
        return False
    return True


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
            descriptor = at_the_end.enter_context(opened_lockable(folder))
        until, waiting = time.monotonic() + patience, False
        with suppress(OSError):  # this file system has no locks
            while not try_lock(descriptor) and time.monotonic() < min(until, deadline):
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
