"""A run's folder: who may have it, and what stands in it.

    env.json        versions, processor, BLAS, threads: written first, so it marks a run's folder
    config.yaml     the resolved configuration
    metrics.jsonl   a line an epoch
    last.npz        the newest checkpoint, all that resuming needs
    best.npz        the best on validation
    divergence.json what went wrong, where the training diverged
    result.json     written last, so it is there only where the run finished

A folder that holds any of these but `config.yaml` holds a run: a user's own `config.yaml` is none.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Literal

from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.storage.files import atomic_write, make_folder, storage_errors, sync_folder
from mlp_cli.storage.strict_json import to_json

Mode = Literal["new", "resume", "overwrite"]

FILES = (
    "env.json",
    "config.yaml",
    "metrics.jsonl",
    "last.npz",
    "best.npz",
    "divergence.json",
    "result.json",
)

# Left behind where a process was killed in the middle of a write.
_TEMPORARY = re.compile(r"\.(?:" + "|".join(map(re.escape, FILES)) + r")\.\w+\.tmp")


class RunFolder:
    """The paths in a run's folder, and the writes that touch more than one line of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = path / "env.json"
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.last = path / "last.npz"
        self.best = path / "best.npz"
        self.divergence = path / "divergence.json"
        self.result = path / "result.json"
        self._metrics_size = 0

    def append_metrics(self, line: str) -> None:
        """Add one line to `metrics.jsonl`, in one write.

        Raises
        ------
        ConfigError
            If somebody else has written to it since `keep_metrics`: another process trains this
            run, on a file system without locks.
        StorageError
            If it cannot be written; the lines before are still whole.
        """
        content = f"{line}\n".encode()
        with storage_errors("write", self.metrics), self.metrics.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            if before != self._metrics_size:
                raise self._taken()
            try:
                if file.write(content) < len(content):  # the disk took some of it, and is full
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
            If that fails.
        """
        with storage_errors("write", self.metrics), self.metrics.open("ab", buffering=0) as file:
            os.fsync(file.fileno())

    def keep_metrics(self, epochs: int) -> int:
        """Cut `metrics.jsonl` back to its first `epochs` epochs: what came after is trained again.

        Returns
        -------
        How many of them it has.

        Raises
        ------
        StorageError
            If it cannot be read or written.
        """
        lines: list[bytes] = []
        if self.metrics.exists():
            with storage_errors("read", self.metrics):
                lines = self.metrics.read_bytes().splitlines(keepends=True)
        kept: list[bytes] = []
        for line in lines:  # one may be torn, or there twice
            if len(kept) < epochs and _epoch(line) == len(kept) + 1:
                kept.append(line)
        content = b"".join(kept)
        atomic_write(self.metrics, content)
        self._metrics_size = len(content)
        return len(kept)

    def read_result(self) -> dict[str, Any] | None:
        """Return the content of `result.json`, or None where the run is not finished.

        Raises
        ------
        StorageError
            If it is there and cannot be read.
        """
        if not self.result.exists():
            return None
        with storage_errors("read", self.result):
            text = self.result.read_bytes()
        try:
            result = json.loads(text)
        except ValueError as error:
            raise StorageError(
                f"{self.result} is damaged: {error}. Remove it and resume, to have it made again."
            ) from error
        return dict(result)

    def write_result(self, result: dict[str, Any]) -> None:
        """Write `result.json`, whole: the run is finished.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        atomic_write(self.result, (to_json(result, indent=2) + "\n").encode())

    def remove_outcome(self) -> None:
        """Remove `result.json` or `divergence.json`, where they are: the run goes on.

        Raises
        ------
        StorageError
            If one cannot be removed.
        """
        for path in (self.result, self.divergence):
            with storage_errors("remove", path):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove a run's files, and nothing else that may lie beside them.

        Raises
        ------
        StorageError
            If one cannot be removed.
        """
        with storage_errors("clear", self.path):
            # env.json last: until then the folder is still known for a run.
            for name in reversed(FILES):
                (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; a second trainer of one run is refused.

        What killed processes left in the middle of a write is swept: nobody else writes here now.

        Raises
        ------
        ConfigError
            If another process is training here.
        StorageError
            If the folder cannot be opened or swept.
        """
        with storage_errors("open", self.path):
            descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._sweep()
            except BlockingIOError as error:
                raise self._taken() from error
            except OSError:
                pass  # a file system without locks: then `append_metrics` notices
            yield
        finally:
            os.close(descriptor)

    def _taken(self) -> ConfigError:
        return ConfigError(
            f"{self.path}: another process is training this run. Wait for it, or choose another "
            "--out."
        )

    def _sweep(self) -> None:
        for path in self.path.iterdir():
            if _TEMPORARY.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()


def _epoch(line: bytes) -> int | None:
    """Return the epoch of a line of `metrics.jsonl`, None where it is torn."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record.get("epoch") if isinstance(record, dict) else None


def check_out(path: Path, mode: Mode) -> None:
    """Refuse a folder that `mode` does not allow, before anything is made or removed.

    Raises
    ------
    ConfigError
        If it holds a run and `mode` is new, or holds files and no run.
    StorageError
        If it is no folder or cannot be read, or a run's file is no file.
    """
    try:
        with storage_errors("use", path):
            names = {entry for entry in os.listdir(path) if not _TEMPORARY.fullmatch(entry)}  # noqa: PTH208
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError) and not path.is_symlink():
            return
        raise
    holds_run = bool(names & (set(FILES) - {"config.yaml"}))
    if names and not holds_run:
        raise ConfigError(
            f"--out {path}: the folder is not empty and holds no run. Choose another folder."
        )
    if holds_run and mode == "new":
        raise ConfigError(
            f"--out {path}: the folder already holds a run. Give --resume to go on with it, "
            "--overwrite to replace it, or another folder."
        )
    for name in sorted(names & set(FILES)):
        if not (path / name).is_file():  # opening a FIFO would wait for ever
            raise StorageError(f"{path / name}: no regular file, as a run's are. Remove it.")


def claim(out: Path | None, config_name: str) -> RunFolder:
    """Make the run's folder: `out`, or without it the first free `runs/<name>-1`, `-2`, ….

    Making a folder is atomic, so any number of runs may start at once and none gets another's.

    Raises
    ------
    StorageError
        If it cannot be made.
    """
    if out is not None:
        with storage_errors("make", out):
            make_folder(out)
        return RunFolder(out)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", config_name).lstrip(".-")[:100] or "run"
    runs = Path("runs")
    with storage_errors("make a folder in", runs):
        make_folder(runs)
        for number in count(1):
            try:
                (runs / f"{name}-{number}").mkdir()
            except FileExistsError:
                continue
            sync_folder(runs)
            return RunFolder(runs / f"{name}-{number}")
    raise AssertionError("count() has no end")
