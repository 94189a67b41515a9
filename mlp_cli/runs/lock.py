"""The lock on a run's folder: one process at a time, and only while the folder is still there."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mlp_cli.errors import ConfigError, StorageWarning, reason
from mlp_cli.storage.files import exists, storage_errors
from mlp_cli.storage.locks import WINDOWS, lockable, opened_lockable, try_lock

MOMENT = 0.1  # seconds


class FolderLock:
    """A lock on the folder at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None  # of the folder, in the block of `held`
        self._adopted: int | None = None

    def adopt(self, descriptor: int | None) -> None:
        """Take a descriptor of the folder, whose lock this process or its parent holds already.

        `held` then uses this lock. It does not close the descriptor.
        """
        self._adopted = descriptor

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock; the block gets False if the file system has no locks, after a warning.

        Raises
        ------
        ConfigError
            If another process holds it, or as `check`.
        StorageError
            If the folder cannot be opened.
        """
        with ExitStack() as at_the_end:
            if self._adopted is None:
                with storage_errors("open", self.path):
                    descriptor = at_the_end.enter_context(opened_lockable(self.path))
            else:
                descriptor = self._adopted
            at_the_end.callback(self._forget)
            locked = self._adopted is not None or self._lock(descriptor)
            self._descriptor = descriptor
            self.check()
            yield locked

    def _lock(self, descriptor: int) -> bool:
        try:
            locked = try_lock(descriptor)
            if not locked:  # a lock of `is_locked` lasts a moment
                time.sleep(MOMENT)
                locked = try_lock(descriptor)
        except OSError as error:
            lack = f"the file system has no locks ({reason(error)})"
            advice = "Do not train one run in two processes at once"
            warnings.warn(StorageWarning(self.path, f"{lack}. {advice}."), stacklevel=2)
            return False
        if not locked:
            raise in_use(self.path)
        return True

    def _forget(self) -> None:
        self._descriptor = None

    def check(self) -> None:
        """Check that the folder of the block is still the one at `path`.

        If it was removed and made again, another run may be in it, and nothing may be written.
        Outside the block there is nothing to check.

        Raises
        ------
        ConfigError
            If another folder is there.
        StorageError
            If none is there.
        """
        if self._descriptor is None:
            return
        with storage_errors("use", self.path):
            if os.path.samestat(lockable(self.path).stat(), os.fstat(self._descriptor)):
                return
        raise ConfigError(
            f"{self.path}: the folder of this run was removed, and another one was made there. "
            "Nothing was written to it. Train again with another --out."
        )


def is_locked(path: Path) -> bool:
    """Whether a process trains the run in this folder; False if the file system has no locks.

    Raises
    ------
    StorageError
        If the folder cannot be opened.
    """
    if WINDOWS and not exists(lockable(path)):  # nothing is made in a folder that is only read
        return False
    with ExitStack() as at_the_end:
        with storage_errors("open", path):
            descriptor = at_the_end.enter_context(opened_lockable(path))
        with suppress(OSError):
            return not try_lock(descriptor, shared=True)
    return False


def in_use(path: Path) -> ConfigError:
    """Return the error that another process trains the run in this folder."""
    return ConfigError(
        f"{path}: another process is training this run. Wait for it, or choose another --out."
    )
