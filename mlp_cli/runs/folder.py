"""A run's folder: which process may write to it, and its files.

    env.json        versions, processor, BLAS, threads; written first, so it marks a run's folder
    config.yaml     the resolved configuration
    metrics.jsonl   one line per epoch
    last.npz        the newest checkpoint, with all that resuming needs
    best.npz        the checkpoint that is best on validation
    divergence.json a report, if the training diverged
    result.json     written last, so it is there only if the run has finished
    events.out.tfevents.0000000001.mlp  and so on: for TensorBoard, if the configuration says so
    report.html     a page about the run, if `mlp train --report` asked for it

A folder that holds any of these files except `config.yaml` and `report.html` holds a run. These two
alone do not count, because they may be the user's own files. A `report.html` that is not a page of
this program is never replaced or removed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlp_cli.errors import StorageError
from mlp_cli.runs.lock import FolderLock, in_use
from mlp_cli.runs.records import lines_of_epochs, read_result
from mlp_cli.storage.files import atomic_writer, exists, mode_of, storage_errors, sync_file
from mlp_cli.storage.strict_json import to_json

FILES = (
    "env.json",
    "config.yaml",
    "metrics.jsonl",
    "last.npz",
    "best.npz",
    "divergence.json",
    "result.json",
)

# An event file for TensorBoard. Other programs have a time and a host's name in place of these.
EVENTS = re.compile(r"events\.out\.tfevents\.[0-9]{10}\.mlp")

_OWN = set(FILES) - {"config.yaml"}

REPORT = "report.html"
PAGE_MARK = b'<meta name="generator" content="mlp '  # near the start of each page of this program
NEAR = 1024  # bytes

# A file that `atomic_writer` leaves behind if its process is killed.
TEMPORARY = re.compile(r"\.(?:" + "|".join(map(re.escape, (*FILES, REPORT))) + r")\.\w+\.tmp")


def holds_run(names: Iterable[str]) -> bool:
    """Whether a folder with these entries holds a run. `config.yaml` may be the user's own."""
    return not _OWN.isdisjoint(names)


def is_page(path: Path) -> bool:
    """Whether a file is a page that this program made, about this run or others.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    with storage_errors("read", path):
        if not stat.S_ISREG(mode_of(path) or 0):
            return False
        with path.open("rb") as file:
            return PAGE_MARK in file.read(NEAR)


class RunFolder:
    """The paths of the files in a run's folder, and the operations on them.

    `made` are the folders that were made for the run, from the outermost to `path`.
    """

    def __init__(self, path: Path, made: Sequence[Path] = ()) -> None:
        self.path, self._made = path, made
        self.lock = FolderLock(path)
        self.env = path / "env.json"
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.last = path / "last.npz"
        self.best = path / "best.npz"
        self.divergence = path / "divergence.json"
        self.result = path / "result.json"
        self.report = path / REPORT
        self._metrics_size = 0

    @property
    def has_trained(self) -> bool:
        """Whether the folder holds what a training writes after its first `last.npz`.

        Raises
        ------
        StorageError
            If the folder cannot be read.
        """
        if any(map(exists, (self.best, self.divergence, self.result))):
            return True
        with storage_errors("read", self.metrics):
            return exists(self.metrics) and self.metrics.stat().st_size > 0

    def append_metrics(self, line: str) -> None:
        """Add one line to `metrics.jsonl`, in one write.

        Raises
        ------
        ConfigError
            If another process has written to the file since `keep_metrics`. Then it trains this
            run too, on a file system without locks. And as `FolderLock.check`.
        StorageError
            If the line cannot be written, or if lines are gone. The lines before it stay whole.
        """
        content = f"{line}\n".encode()
        self.lock.check()
        with storage_errors("write", self.metrics), self.metrics.open("ab", buffering=0) as file:
            self.lock.check()  # again: the file that is open now is that of this run
            before = os.fstat(file.fileno()).st_size
            if before < self._metrics_size:
                raise StorageError(
                    f"{self.metrics}: the file was removed or shortened while this run trained: "
                    f"it has {before:,} of {self._metrics_size:,} bytes. Put its lines back if you "
                    "can, and continue with --resume."
                )
            if before > self._metrics_size:
                raise in_use(self.path)
            try:
                if file.write(content) < len(content):  # a full disk may take a part of it
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(before)
                raise
            self._metrics_size += len(content)

    def sync_metrics(self) -> None:
        """Force the lines of `metrics.jsonl` to disk.

        Raises
        ------
        StorageError
            If the file cannot be written.
        """
        self.lock.check()
        with storage_errors("write", self.metrics), self.metrics.open("ab", buffering=0) as file:
            sync_file(file, self.metrics)

    def keep_metrics(self, epochs: int) -> int:
        """Keep the lines of the first `epochs` epochs in `metrics.jsonl`, and remove the others.

        A resumed training writes the lines of the later epochs again.

        Returns
        -------
        The number of lines that are kept. It is less than `epochs` if lines are missing.

        Raises
        ------
        StorageError
            If the file cannot be read or written.
        """
        lines = lines_of_epochs(self.metrics, epochs)
        content = b"".join(lines)
        self.write(self.metrics, content)
        self._metrics_size = len(content)
        return len(lines)

    def read_result(self) -> dict[str, Any] | None:
        """Return the content of `result.json`, or None if the run has not finished.

        Raises
        ------
        StorageError
            As `records.read_result`.
        """
        return read_result(self.result) if exists(self.result) else None

    def write_result(self, result: dict[str, Any]) -> None:
        """Write `result.json`, whole or not at all. It marks the run as finished.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        self.write_json(self.result, result)

    def write(self, path: Path, content: bytes) -> None:
        """Write one of the run's files, whole or not at all.

        Raises
        ------
        ConfigError
            As `FolderLock.check`.
        StorageError
            If it cannot be written.
        """
        with storage_errors("write", path), atomic_writer(path) as file:
            self.lock.check()  # the temporary file is open: if it is here, so is its new name
            file.write(content)

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Write one of the run's files as JSON, as `write` does."""
        self.write(path, (to_json(value, indent=2) + "\n").encode())

    def remove_outcome(self) -> None:
        """Remove what tells of the run's end, if it is there, because the run continues.

        Raises
        ------
        StorageError
            If a file cannot be removed.
        """
        self.lock.check()
        for path in (self.result, self.divergence, *self._own_report()):
            with storage_errors("remove", path):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the run's files. Other files in the folder stay.

        Raises
        ------
        StorageError
            If one cannot be removed.
        """
        self.lock.check()
        own_report = self._own_report()
        with storage_errors("clear", self.path):
            for path in own_report:
                path.unlink(missing_ok=True)
            # env.json last: until then the folder is recognised as a run's.
            for path in (*self.event_files(), *(self.path / name for name in reversed(FILES))):
                path.unlink(missing_ok=True)

    def event_files(self) -> list[Path]:
        """Return the event files for TensorBoard, in the order of the sittings.

        Raises
        ------
        OSError
            If the folder cannot be read.
        """
        return sorted(path for path in self.path.iterdir() if EVENTS.fullmatch(path.name))

    def _own_report(self) -> list[Path]:
        """Return the path of `report.html` if it is a page of this program, else nothing."""
        return [self.report] if is_page(self.report) else []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process, so that no other process can train the same run.

        Temporary files of killed processes are removed: no other process writes here now. If the
        block raises before anything is written, the folders that were made for the run are removed.

        Raises
        ------
        ConfigError
            If another process is training this run, or as `FolderLock.check`.
        StorageError
            If the folder cannot be opened.
        """
        with self.lock.held() as exclusive:
            if exclusive:  # otherwise `append_metrics` notices a second process
                self._remove_temporary_files()
            try:
                yield
            except BaseException:
                with suppress(OSError):  # one is not empty, or not there any more
                    for path in reversed(self._made):
                        path.rmdir()
                raise

    def _remove_temporary_files(self) -> None:
        with suppress(OSError):  # they do no harm
            for path in list(self.path.iterdir()):
                if TEMPORARY.fullmatch(path.name):
                    path.unlink()
