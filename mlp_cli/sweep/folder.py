"""The folder of a sweep: its files, and the claims on its runs.

sweep.yaml                the sweep
trials/00042/seed-0/      an ordinary run
trials/00042/values.json  what TPE or CMA-ES chose
trials/00042/pruned.json  the trial was ended early
trials/00042/failed.json  a run of it failed, and why
confirm/00042/seed-5/     a run with a fresh seed
result.json               written last
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mlp_cli.errors import ConfigError, StorageError, reason
from mlp_cli.storage.files import atomic_write, exists, storage_errors
from mlp_cli.storage.folders import make_folder
from mlp_cli.storage.locks import LOCK_FILES, open_lockable, opened_lockable, try_lock
from mlp_cli.storage.strict_json import read_object, to_json
from mlp_cli.sweep.trials import Job

PAUSE = 0.02  # seconds between two tries to get a lock that is held for a moment


class SweepFolder:
    """The paths in a sweep's folder, and the operations on them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sweep = path / "sweep.yaml"
        self.data = path / "data.json"
        self.trials = path / "trials"
        self.confirm = path / "confirm"
        self.result = path / "result.json"

    def trial(self, number: int, *, confirms: bool = False) -> Path:
        """Return the folder of a trial, or of the runs that confirm it."""
        return (self.confirm if confirms else self.trials) / f"{number:05}"

    def run(self, job: Job) -> Path:
        """Return the folder of a run."""
        return self.trial(job.trial, confirms=job.confirms) / f"seed-{job.seed}"

    def values(self, number: int) -> Path:
        """Return the file with the values that were chosen for a trial."""
        return self.trial(number) / "values.json"

    def pruned(self, number: int) -> Path:
        """Return the file that says that a trial was ended early."""
        return self.trial(number) / "pruned.json"

    def failed(self, job: Job) -> Path:
        """Return the file that says why a run failed."""
        return self.trial(job.trial, confirms=job.confirms) / "failed.json"

    def check(self) -> None:
        """Refuse a folder that holds something else than a sweep.

        Raises
        ------
        ConfigError
            If it holds files of others and no `sweep.yaml`.
        StorageError
            If it cannot be read, or is no folder.
        """
        with storage_errors("use", self.path):
            try:
                names = os.listdir(self.path)  # noqa: PTH208 - also tells files from folders
            except FileNotFoundError:
                return
        files = (self.sweep, self.data, self.trials, self.confirm, self.result)
        ours = LOCK_FILES | {path.name for path in files}
        foreign = [name for name in names if name not in ours and not name.endswith(".tmp")]
        if foreign and "sweep.yaml" not in names:
            raise ConfigError(
                f"--out {self.path}: the folder is not empty and holds no sweep. Choose another "
                "folder."
            )

    def make(self) -> None:
        """Make the folder, and check that its file system has locks.

        Raises
        ------
        StorageError
            If it cannot be made or locked. Without locks, two processes could train the same run.
        """
        with storage_errors("make", self.trials):
            make_folder(self.trials)
        fault = ""
        with storage_errors("open", self.path), ExitStack() as at_the_end:
            first, second = (at_the_end.enter_context(opened_lockable(self.path)) for _ in range(2))
            try:
                while not try_lock(first):  # another process holds it for a moment
                    time.sleep(PAUSE)
                if try_lock(second):
                    fault = "two processes can hold the same lock"
            except OSError as error:
                fault = reason(error)
        if fault:
            raise StorageError(
                f"{self.path}: the file system has no locks that work ({fault}), so several "
                "processes could train the same run. Put the sweep on a local disk, or on a "
                "network file system with flock."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock on the whole sweep, for a moment in which nobody else may change it.

        Raises
        ------
        StorageError
            If the folder cannot be opened or locked.
        """
        with storage_errors("lock", self.path), opened_lockable(self.path) as descriptor:
            while not try_lock(descriptor):
                time.sleep(PAUSE)
            yield

    def claim(self, job: Job) -> int | None:
        """Make and lock the folder of a run, and return a descriptor that holds the lock.

        Closing the descriptor gives the claim back. Returns None if another process has it.

        Raises
        ------
        StorageError
            If the folder cannot be made or locked.
        """
        path = self.run(job)
        with storage_errors("make", path):
            make_folder(path)
        with storage_errors("lock", path):
            descriptor = open_lockable(path)
            try:
                if try_lock(descriptor):
                    return descriptor
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)
        return None

    def write_json(self, path: Path, value: Any) -> None:
        """Write a file of the sweep, whole or not at all.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        atomic_write(path, (to_json(value, indent=2) + "\n").encode())

    def read_json(self, path: Path) -> dict[str, Any] | None:
        """Return the object in a file of the sweep, None if there is no such file.

        Raises
        ------
        StorageError
            If it cannot be read or is damaged.
        """
        if not exists(path):
            return None
        return read_object(path, "Remove it; the sweep then does again what is missing.")
