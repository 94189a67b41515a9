"""Find the folders of runs, also within sweeps, and read what each says about its run.

Nothing is written or kept locked, and no network is loaded. A damaged file is no error: it makes
its run one of state `damaged`, with the reason.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mlp_cli.config.dumped import ConfigReader
from mlp_cli.config.load import from_dict, leaves
from mlp_cli.config.text import changed_keys
from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.runs.folder import holds_run
from mlp_cli.runs.lock import is_locked
from mlp_cli.runs.records import read_metrics, read_result
from mlp_cli.storage.files import exists, storage_errors
from mlp_cli.storage.strict_json import from_json

SWEEP = "sweep.yaml"  # marks the folder of a sweep, which has a `result.json` of its own
LONGEST = 1e12  # seconds, 30,000 years
OUTCOMES = ("pruned", "failed")  # of a trial, each in a file such as `pruned.json`


class FoundRun(NamedTuple):
    """The folder of a run, or of a trial that ended before it had one.

    `files` has the name of each entry, and whether it is a regular file. `outcomes` are those of
    the trial that the run belongs to. `fault` says why the folder cannot be read, or is "".
    """

    path: Path
    files: Mapping[str, bool] = {}
    outcomes: Sequence[str] = ()
    fault: str = ""


@dataclass(frozen=True)
class ListedRun:
    """A run as its folder tells it. Rates are fractions from 0 to 1, and times are in seconds.

    `state` is finished, running, stopped, diverged, damaged, pruned or failed; `reason` says why a
    run is damaged or failed. `config` has the configuration by dotted keys, with tuples for lists;
    it is empty if it is not known. Of a run that is not finished, `epochs` counts its epochs so
    far, `val_accuracy` is the best of them, and `seconds` is their sum.
    """

    path: Path
    state: str
    reason: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    test_error_ci95: Sequence[float] | None = None
    seconds: float | None = None


def find_runs(paths: Sequence[Path]) -> Iterator[FoundRun]:
    """Yield the runs in folders: a folder that holds a run, or all runs in the folders below it.

    Each folder is looked at once, also if links or several paths lead to it. Folders whose names
    begin with a period are left out.

    Raises
    ------
    ConfigError
        If one of the paths is not a folder, or if there is no run in it.
    StorageError
        If one of the paths cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    for given in paths:
        found = seen_before = False
        stack: list[tuple[Path, tuple[str, ...]]] = [(given, ())]
        while stack:
            folder, outcomes = stack.pop()
            try:
                identity, files, folders = _look_into(folder)
            except StorageError as error:
                if folder == given:
                    raise _no_folder(given, error) from error
                found = True
                yield FoundRun(folder, fault=str(error))
                continue
            if identity in seen:
                seen_before = True
                continue
            seen.add(identity)
            if holds_run(files.keys()) and SWEEP not in files:
                found = True
                yield FoundRun(folder, files, outcomes)
                continue
            within = tuple(outcome for outcome in OUTCOMES if f"{outcome}.json" in files)
            if within and not any(name.startswith("seed-") for name in folders):
                found = True
                yield FoundRun(folder, {}, within)
            stack += [(folder / name, within) for name in sorted(folders, key=natural)[::-1]]
        if not (found or seen_before):
            raise ConfigError(
                f"{given}: there is no run in this folder. `mlp train` makes runs; give the folder "
                "of one, of a sweep, or a folder that holds some."
            )


def last_change(found: FoundRun) -> float | None:
    """Return when a file of a run was last written, in seconds since 1970; None if not known."""
    with suppress(OSError, ValueError):  # no file, or one that was just replaced
        return max((found.path / name).stat().st_mtime for name in found.files)
    return None


def changed_settings(run: ListedRun) -> dict[str, Any]:
    """Return the dotted keys of a run's configuration that differ from their defaults."""
    nested: dict[str, Any] = {}
    for key, value in run.config.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    changed = changed_keys(from_dict(nested, str(run.path))) if nested else {}
    return {
        f"{section}.{name}" if isinstance(of, dict) else section: value
        for section, of in changed.items()
        for name, value in (of.items() if isinstance(of, dict) else [("", of)])
    }


def natural(text: str) -> list[Any]:
    """Return what to sort names by, so that `mnist-2` comes before `mnist-10`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", text)]


def _look_into(folder: Path) -> tuple[tuple[int, int], dict[str, bool], list[str]]:
    """Return what identifies a folder, its files, and the names of the folders in it."""
    files: dict[str, bool] = {}
    folders = []
    with storage_errors("read", folder), os.scandir(folder) as entries:
        for entry in entries:
            if not _is(entry.is_dir):
                files[entry.name] = _is(entry.is_file)
            elif not entry.name.startswith("."):
                folders.append(entry.name)
        status = folder.stat()
    return (status.st_dev, status.st_ino), files, folders


def _is(kind: Callable[[], bool]) -> bool:
    try:
        return kind()
    except OSError:  # of a link that leads in a circle
        return False


def _no_folder(given: Path, error: StorageError) -> ConfigError | StorageError:
    if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
        fault = "it is not a folder" if exists(given) else "there is no such folder"
        return ConfigError(
            f"{given}: {fault}. Give the folder of a run, of a sweep, or a folder that holds some."
        )
    return error


class RunReader:
    """Reads the runs that were found. One reader for all runs is faster than one for each."""

    def __init__(self) -> None:
        self._configs = ConfigReader()

    def read(self, found: FoundRun) -> ListedRun:
        """Return what a folder says about its run."""
        config: dict[str, Any] = {}
        try:
            if found.fault:
                raise StorageError(found.fault)
            for name, is_regular in found.files.items():  # to open a FIFO would wait for ever
                if not is_regular and name in ("config.yaml", "metrics.jsonl", "result.json"):
                    raise StorageError(f"{found.path / name} is not a regular file.")
            if "config.yaml" in found.files:
                plain = leaves(self._configs.read(found.path / "config.yaml"))
                config = {k: tuple(v) if isinstance(v, list) else v for k, v in plain}
            run = _read(found, config)
            if max(run.val_accuracy or 0, run.test_accuracy or 0) > 1:
                raise StorageError(f"{found.path}: an accuracy in it is above 1.")
            if (run.seconds or 0) > LONGEST:  # sums of such times may be infinite
                raise StorageError(f"{found.path}: a time in it is above {LONGEST:g} s.")
            return run
        except (ConfigError, StorageError) as error:
            return ListedRun(found.path, "damaged", " ".join(str(error).split()), config)


def read_runs(found: Iterable[FoundRun]) -> list[ListedRun]:
    """Return what folders say about their runs.

    Python's collector of circular garbage is off meanwhile, and later skips these runs. There is no
    such garbage among them, and to look through thousands of runs again and again takes time.
    """
    reader, was_enabled = RunReader(), gc.isenabled()
    gc.disable()
    try:
        return [reader.read(each) for each in found]
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _read(found: FoundRun, config: dict[str, Any]) -> ListedRun:
    path, files = found.path, found.files
    state = reason = ""
    if "result.json" not in files:
        state, reason = _state(found)
    if state:
        records = read_metrics(path / "metrics.jsonl") if "metrics.jsonl" in files else []
        scores = [record["val_accuracy"] for record in records]
        return ListedRun(
            path,
            state,
            reason,
            config,
            epochs=len(records),
            val_accuracy=max((score for score in scores if score is not None), default=None),
            seconds=sum(record["seconds"] for record in records),
        )
    if not config:
        raise StorageError(f"{path / 'config.yaml'} is missing.")
    result = read_result(path / "result.json")
    return ListedRun(
        path,
        "finished",
        "",
        config,
        result["epochs"],
        result["val_accuracy"],
        result["test_accuracy"],
        result["test_error_ci95"],
        result["seconds"],
    )


def _state(found: FoundRun) -> tuple[str, str]:
    """Return the state of a run without `result.json` and the reason; "" if it has finished now."""
    path = found.path
    if found.files and is_locked(path):
        return "running", ""
    if found.files and exists(path / "result.json"):  # it was written since the folder was read
        return "", ""
    if "divergence.json" in found.files:
        return "diverged", ""
    trial = path.parent if found.files else path
    if "failed" in found.outcomes:
        failure = _failure(trial / "failed.json")
        if failure.get("seed") in (None, _seed(path)) or not found.files:
            return "failed", str(failure.get("message", ""))
    return ("pruned" if "pruned" in found.outcomes else "stopped"), ""


def _seed(path: Path) -> int | None:
    """Return the seed that the name of a trial's run says."""
    match = re.fullmatch(r"seed-([0-9]+)", path.name)
    return int(match[1]) if match else None


def _failure(path: Path) -> dict[str, Any]:
    """Return what a `failed.json` says, nothing if it is damaged."""
    with suppress(ValueError), storage_errors("read", path):
        found = from_json(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}
