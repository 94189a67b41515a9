"""Training, scoring and checking from Python: what `mlp_cli` exports.

>>> from mlp_cli import train, evaluate
>>> run = train("mnist", out="runs/a", set={"training.epochs": 3})  # doctest: +SKIP
>>> evaluate([run], split="test").accuracy  # doctest: +SKIP
0.9763

NumPy is usually loaded by then, so it is too late for the environment variables that hold BLAS to
one thread. `threadpoolctl` does it here, for as long as a function computes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mlp_cli.compute.select import (
    EngineChoice,
    build_engine,
    choose_engine,
    load_late_blas,
    want_fast,
)
from mlp_cli.config.load import load_config
from mlp_cli.config.schema import Config
from mlp_cli.errors import ConfigError, did_you_mean
from mlp_cli.gradcheck import check
from mlp_cli.gradcheck.check import GradientCheck
from mlp_cli.inference.averaging import choose_averaging
from mlp_cli.inference.evaluate import evaluate_checkpoints
from mlp_cli.inference.evaluation import Evaluation
from mlp_cli.inference.model import Model, load
from mlp_cli.runs.claim import run_name
from mlp_cli.runs.folder import RunFolder
from mlp_cli.runs.interruption import DeferredInterrupt
from mlp_cli.runs.progress import ProgressObserver
from mlp_cli.runs.records import read_metrics
from mlp_cli.runs.train import RunOptions, train_run
from mlp_cli.storage.paths import given_mirror, given_path, usual_data_dir
from mlp_cli.training.observer import Observer

ConfigLike = str | os.PathLike[str] | Mapping[str, Any] | Config
Changes = Mapping[str, Any]
SPLITS = ("test", "validation", "train")


@dataclass(frozen=True)
class Run:
    """A run in its folder `path`; it can be given wherever a path is wanted."""

    path: Path

    def __fspath__(self) -> str:
        """Return the folder."""
        return os.fspath(self.path)

    __str__ = __fspath__

    @property
    def result(self) -> dict[str, Any] | None:
        """What `result.json` holds, or None if the run is not finished.

        Raises
        ------
        StorageError
            If the file is damaged or cannot be read.
        """
        return RunFolder(self.path).read_result()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of the finished epochs, as in `metrics.jsonl`.

        Raises
        ------
        StorageError
            If the file is damaged or cannot be read.
        """
        return read_metrics(RunFolder(self.path).metrics)

    def model(self) -> Model:
        """Return the network that was best on validation, as `load` does."""
        return load(self.path)


def train(
    config: ConfigLike,
    *,
    out: str | os.PathLike[str] | None = None,
    set: Changes | None = None,  # noqa: A002 - the name of the command's option
    threads: int | None = None,
    kernels: str | None = None,
    observer: Observer | None = None,
    resume: bool = False,
    overwrite: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    mirrors: Sequence[str] = (),
    data_path: str | os.PathLike[str] | None = None,
) -> Run:
    """Train one network, as `mlp train` does, and return its run.

    Ctrl-C saves the training and raises `KeyboardInterrupt`; `resume=True` continues it.

    Parameters
    ----------
    config
        A YAML file, the name of a shipped configuration, a mapping, or a `Config`.
    out
        The folder of the run. If it is None, the run gets a new folder `runs/<name>-1`, `-2`, …
    set
        Changes of the configuration by dotted key, as in `{"training.epochs": 3}`.
    threads
        The number of threads. If it is None, it is OMP_NUM_THREADS, or follows from the network.
    kernels
        "numpy" or "fast". If it is None, MLP_KERNELS decides. If that is not set, a resumed run
        keeps its kernels. A new one gets the compiled ones if the extra is installed, unless it is
        too short to be worth compiling for.
    observer
        Is told what happens. If it is None, progress is shown on stderr: bars on a terminal and in
        a notebook, one line per epoch elsewhere.
    resume, overwrite
        Continue the run in `out`, or replace it.
    data_dir, mirrors
        Where the data lie, by default MLP_DATA_DIR or `data`; and where to fetch MNIST first.
    data_path
        Where the data of the run that is resumed are now, if its `data.path` has moved.

    Raises
    ------
    MlpError
        The subclass says what went wrong; what was saved before stays.
    """
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other.")
    if (resume or overwrite) and out is None:
        raise ConfigError("resume and overwrite need out, which names the run.")
    if data_path is not None and not resume:
        raise ConfigError("data_path needs resume. For a new run, set data.path.")
    with _blas_held(kernels), ProgressObserver() as progress:
        told = progress if observer is None else observer
        checked = load_config(config, set=set, warn=told.warn)
        options = RunOptions(
            data_dir=_data_dir(data_dir),
            mirrors=[given_mirror(mirror) for mirror in mirrors],
            out=None if out is None else given_path(out),
            mode="resume" if resume else "overwrite" if overwrite else "new",
            config_name=(
                run_name(given_path(config)) if isinstance(config, str | os.PathLike) else "run"
            ),
            engine=_choose(checked, threads, kernels, told.warn),
            data_path=None if data_path is None else given_path(data_path),
        )
        folder, _ = train_run(checked, options, told, DeferredInterrupt())
    return Run(folder)


def evaluate(
    runs: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
    data_path: str | os.PathLike[str] | None = None,
    average: int | None = None,
    strength: float | None = None,
) -> Evaluation:
    """Score a run or checkpoint, or several as one committee, as `mlp eval` does.

    Parameters
    ----------
    runs
        One or several of what `train` returned, folders of runs, or checkpoints.
    split
        "test", "validation" or "train": the images to score.
    data_dir
        Where the data lie, by default MLP_DATA_DIR or `data`. Nothing is fetched.
    data_path
        Where the data are now, in place of those that the run was trained on. For the "test" split,
        they may be any images of its size; without labels, `predictions` alone are there.
    average
        Average the log-probabilities of so many distortions of each image, 1 to 1000. They are
        those that the network was trained with, weaker. The undistorted image is not one of them.
    strength
        The strength of these distortions, above 0 and at most 1, the strength in training. If it is
        None, it is 0.25.

    Raises
    ------
    MlpError
        If a checkpoint or the data are missing, damaged or do not fit; the subclass says which.
    """
    if split not in SPLITS:
        meant = did_you_mean(str(split), SPLITS)
        raise ConfigError(f"split={split!r}: give test, validation or train.{meant}")
    several = [runs] if isinstance(runs, str | os.PathLike) else runs
    place = None if data_path is None else given_path(data_path)
    paths = [given_path(run) for run in several]
    averaging = choose_averaging(average, strength)
    return evaluate_checkpoints(paths, split, _data_dir(data_dir), place, averaging=averaging)


def check_gradient(
    config: ConfigLike,
    *,
    set: Changes | None = None,  # noqa: A002 - the name of the command's option
    threads: int | None = None,
    kernels: str | None = None,
) -> GradientCheck:
    """Prove the batched gradient on the network of a configuration, as `mlp gradcheck` does.

    The parameters are those of `train`. `wrong` of the result lists the layers whose gradient is
    wrong.

    Raises
    ------
    MlpError
        If the configuration is wrong, or names data that are missing.
    """
    with _blas_held(kernels), ProgressObserver() as observer:
        checked = load_config(config, set=set, warn=observer.warn)
        engine = build_engine(_choose(checked, threads, kernels, observer.warn))
        with closing(engine.threads):
            engine.compile(np.dtype("float64"), observer.warn, observer.log)
            return check.check_gradient(checked, engine)


@contextmanager
def _blas_held(kernels: str | None) -> Iterator[None]:
    """Hold every BLAS to one thread in the block."""
    load_late_blas(want_fast(os.environ, kernels))
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def _choose(
    config: Config, threads: int | None, kernels: str | None, warn: Callable[[str], object]
) -> EngineChoice:
    hidden, batch_size = config.model.hidden, config.training.batch_size
    return choose_engine(hidden, batch_size, os.environ, threads, kernels, warn)


def _data_dir(given: str | os.PathLike[str] | None) -> Path:
    return usual_data_dir() if given is None else given_path(given)
