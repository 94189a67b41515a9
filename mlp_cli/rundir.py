"""A run's folder: who may have it, and what stands in it.

    env.json        versions, processor, BLAS, threads: written first, so it marks a run's folder
    config.yaml     the resolved configuration
    metrics.jsonl   a line an epoch
    last.npz        the newest checkpoint, all that resuming needs
    best.npz        the best on validation
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
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.files import atomic_write, make_folder, storage_errors, sync_folder
from mlp_cli.metrics import to_json

Mode = Literal["new", "resume", "overwrite"]

FILES = ("env.json", "config.yaml", "metrics.jsonl", "last.npz", "best.npz", "result.json")

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
        self.result = path / "result.json"

    def append_metrics(self, line: str) -> None:
        """Add one line to `metrics.jsonl`, in one write, and force it to disk.

        Raises
        ------
        StorageError
            If it cannot be written; the lines before are still whole.
        """
        content = f"{line}\n".encode()
        with storage_errors("write", self.metrics), self.metrics.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(content) < len(content):  # the disk took some of it, and is full
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise

    def keep_metrics(self, epochs: int) -> None:
        """Cut `metrics.jsonl` back to its first `epochs` lines: what came after is trained again.

        Raises
        ------
        StorageError
            If it cannot be read or written.
        """
        lines: list[bytes] = []
        if self.metrics.exists():
            with storage_errors("read", self.metrics):
                lines = self.metrics.read_bytes().splitlines(keepends=True)
        atomic_write(self.metrics, b"".join(lines[:epochs]))

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

    def remove_result(self) -> None:
        """Remove `result.json`, where it is: the run goes on.

        Raises
        ------
        StorageError
            If it cannot be removed.
        """
        with storage_errors("remove", self.result):
            self.result.unlink(missing_ok=True)

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
            except BlockingIOError as error:
                raise ConfigError(
                    f"{self.path}: another process is training this run. Wait for it, or choose "
                    "another --out."
                ) from error
            except OSError:
                pass  # a file system without locks: then the user's own care must do
            else:
                with storage_errors("sweep", self.path):
                    for path in self.path.iterdir():
                        if _TEMPORARY.fullmatch(path.name):
                            path.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)


def check_out(path: Path, mode: Mode) -> None:
    """Refuse a folder that `mode` does not allow, before anything is made or removed.

    Raises
    ------
    ConfigError
        If it holds a run and `mode` is new, or holds files and no run.
    StorageError
        If it is no folder or cannot be read.
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
