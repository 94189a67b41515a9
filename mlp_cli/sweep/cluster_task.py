"""A slice of a run's training, as a task that a worker of a Dask cluster computes.

A slice depends on its arguments alone, and returns all that it has changed. So if its worker dies,
Dask gives the same task to another worker. The scheduler imports this module too, because it reads
the tasks that it passes on.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from mlp_cli._version import __version__
from mlp_cli.compute.select import EngineChoice, load_late_blas, want_fast
from mlp_cli.config.load import load_config
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Source
from mlp_cli.errors import ConfigError, DataError, MlpError, StorageError
from mlp_cli.runs.fetching import obtain_source
from mlp_cli.runs.train import RunOptions, train_run
from mlp_cli.storage.paths import all_mirrors, usual_data_dir
from mlp_cli.training.metrics import EpochMetrics
from mlp_cli.training.observer import SilentObserver

# The files of a run's folder, each after those that it relies on, as `runs.saver` writes them.
FILES = (
    "env.json",
    "config.yaml",
    "metrics.jsonl",
    "best.npz",
    "last.npz",
    "divergence.json",
    "result.json",
)


@dataclass(frozen=True)
class Slice:
    """What a worker has to do.

    Attributes
    ----------
    run
        The name of the run's folder, for messages.
    config, files
        The configuration of the run, as data, and the files of its folder by name.
    seconds, one_epoch
        How long to train. With `one_epoch`, it ends at the end of an epoch if that comes first.
    engine
        The threads and the kernels.
    digests
        Those of the training images, by file.
    """

    run: str
    config: Mapping[str, Any]
    files: Mapping[str, bytes]
    seconds: float
    one_epoch: bool
    engine: EngineChoice
    digests: Mapping[str, str]


class SliceResult(NamedTuple):
    """What a worker has done.

    `files` has those that have changed, with None for one that is gone. `error` is what ended the
    training, or kept the worker from it. If `unfit`, no run can be trained on this worker.
    """

    worker: str
    files: Mapping[str, bytes | None]
    error: MlpError | None = None
    unfit: bool = False


def train_slice(task: Slice) -> SliceResult:
    """Train a run for a while on the worker of a Dask cluster."""
    from distributed import get_worker  # of an extra

    worker = get_worker()
    name = f"worker {worker.address} on {socket.gethostname()}"
    config = load_config(task.config, warn=lambda _: None)
    try:
        want_fast({}, "fast" if task.engine.fast else "numpy")  # refuses kernels that are missing
        extensions = worker.extensions
        kept = extensions.get("mlp_cli") or extensions.setdefault(
            "mlp_cli", _Kept(task.engine.fast)
        )
        source = kept.source(config, task.digests)
        with tempfile.TemporaryDirectory(dir=worker.local_directory) as folder:
            error = _train(task, config, source, Path(folder))
            return SliceResult(name, _changed(task.files, Path(folder)), error)
    except OSError as error:
        return SliceResult(name, {}, StorageError(f"cannot use its folder: {error}."), unfit=True)
    except MlpError as error:
        return SliceResult(name, {}, error, unfit=True)


def version() -> str:
    """Return the version of `mlp_cli` where this is called."""
    return __version__


class _Kept:
    """What a worker keeps from one task to the next: the images that it has loaded."""

    def __init__(self, fast: bool) -> None:
        # For as long as the worker lives: several runs train in its threads.
        load_late_blas(fast)
        threadpool_limits(limits=1, user_api="blas")
        self._lock = threading.Lock()
        self._sources: dict[tuple[Any, ...], Source] = {}

    def source(self, config: Config, digests: Mapping[str, str]) -> Source:
        """Return the training images, which this worker finds or fetches as its own variables say.

        Raises
        ------
        MlpError
            If they cannot be had, or are not those with these digests.
        """
        key = (config.data.dataset, config.data.path, *sorted(digests.items()))
        with self._lock:
            if key not in self._sources:
                # The sweep has decided already whether it trains on the synthetic digits.
                config = load_config(config, set={"data.fallback": None}, warn=lambda _: None)
                mirrors, data_dir = all_mirrors(()), usual_data_dir()
                _, source = obtain_source(config, data_dir, mirrors, SilentObserver())
                if source.split(config).train_digests != digests:
                    raise DataError(
                        f"its images of {source.name} are not those that the sweep was begun with."
                    )
                self._sources[key] = source
            return self._sources[key]


def _train(task: Slice, config: Config, source: Source, folder: Path) -> MlpError | None:
    """Train in a folder with the files of the run, and return what ended the training."""
    for name, content in task.files.items():
        (folder / name).write_bytes(content)
    options = RunOptions(
        data_dir=folder,
        mirrors=(),
        out=folder,
        mode="resume",
        config_name="trial",
        engine=task.engine,
        source=source,
    )
    limit = _Limit(task)
    try:
        train_run(config, options, limit, limit)
    except StorageError:
        raise
    except MlpError as error:
        return type(error)(str(error).replace(str(folder), task.run))
    except MemoryError:
        return ConfigError("not enough memory. Choose smaller values.")
    return None


def _changed(before: Mapping[str, bytes], folder: Path) -> dict[str, bytes | None]:
    after = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    changed = {name: after.get(name) for name in FILES}
    return {name: of for name, of in changed.items() if of != before.get(name)}


class _Limit(SilentObserver):
    """Ends a slice in time. It is both the observer of the training and its interruption.

    The time begins with the training: loading compiled kernels may take longer than a slice.
    """

    def __init__(self, task: Slice) -> None:
        self._seconds, self._one_epoch = task.seconds, task.one_epoch
        self._deadline: float | None = None
        self._epoch_ended = False

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Note that an epoch has ended."""
        self._epoch_ended = True

    @property
    def pending(self) -> bool:
        """Whether the slice should end."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._seconds
        return now >= self._deadline or (self._one_epoch and self._epoch_ended)

    def deferred(self) -> AbstractContextManager[None]:
        """Do nothing: signals are the worker's own."""
        return nullcontext()

    def immediate(self) -> AbstractContextManager[None]:
        """Do nothing: signals are the worker's own."""
        return nullcontext()
