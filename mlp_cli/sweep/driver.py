"""A sweep on one page: claim a run, train it, look what is left, until nothing is.

Any number of processes may do this on one folder. Nothing is agreed between them but the locks on
the runs' folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlp_cli.compute.select import EngineChoice, build_engine
from mlp_cli.config.schema import Config
from mlp_cli.errors import CheckFailedError, ConfigError, MlpError, StorageError
from mlp_cli.runs.fetching import obtain_source, tell_found
from mlp_cli.runs.interruption import Interruption
from mlp_cli.runs.tensorboard import check_tensorboard
from mlp_cli.storage.files import exists, storage_errors
from mlp_cli.sweep.definition import Sweep
from mlp_cli.sweep.executor import Ended, Executor
from mlp_cli.sweep.folder import SweepFolder
from mlp_cli.sweep.history import History
from mlp_cli.sweep.outcome import conclude, score_winner
from mlp_cli.sweep.plan import Plan
from mlp_cli.sweep.processes import CAN_FORK, Processes
from mlp_cli.sweep.progress import SweepProgress
from mlp_cli.sweep.same_sweep import (
    check_same_data,
    check_same_sweep,
    on_drawn_digits,
    with_stored_fallback,
)
from mlp_cli.sweep.search import Searcher, check_installed
from mlp_cli.sweep.space import Values
from mlp_cli.sweep.trials import Job, trial_config
from mlp_cli.sweep.work import Workshop, run_job

TICK = 0.2  # seconds between two looks at what other processes have done
TRIES = 3  # times that a run is begun whose process is killed


@dataclass(frozen=True)
class SweepOptions:
    """Where a sweep finds its data and leaves its runs, and how it is worked on.

    `jobs` is how many runs train at once, each by `engine`. `cluster` is the address of a Dask
    scheduler whose workers train them, or its scheduler file; None for processes of this machine.
    """

    out: Path
    data_dir: Path
    mirrors: Sequence[str]
    jobs: int
    engine: EngineChoice
    cluster: str | None = None
    test: bool = False
    fail_fast: bool = False
    retry_failed: bool = False


def run_sweep(
    sweep: Sweep, options: SweepOptions, progress: SweepProgress, interruption: Interruption
) -> dict[str, Any] | None:
    """Do what is left of a sweep, and return its result, None if it was asked to stop.

    Raises
    ------
    MlpError
        The subclass says what went wrong. Every run that was trained stays.
    """
    if options.test and not sweep.confirm.top:
        raise ConfigError(
            "--test needs `confirm` in the sweep, as in confirm: {top: 3, seeds: 5}: only a "
            "confirmed trial is scored on the test set."
        )
    check_installed(sweep)
    if trial_config(sweep, {}).logging.tensorboard:
        check_tensorboard()
    if options.cluster is not None:
        from mlp_cli.sweep.cluster_client import check_dask  # a sweep here does not need it

        check_dask()
    folder = SweepFolder(options.out)
    folder.check()
    sweep = with_stored_fallback(sweep, folder)
    wanted = trial_config(sweep, {})
    base, source = obtain_source(wanted, options.data_dir, options.mirrors, progress)
    tell_found(source, progress)
    if base != wanted:  # MNIST could not be had
        sweep = on_drawn_digits(sweep)
    folder.make()
    check_same_sweep(sweep, folder)
    check_same_data(source.split(base), folder)
    if options.retry_failed:
        _forget_failures(folder)
    history = History(sweep, folder)
    shop = Workshop(history, source, options.engine, options.data_dir)
    with _executor(shop, base, options, progress, interruption) as executor:
        worker = _Worker(history, executor, options, progress, interruption)
        if worker.work():
            return worker.result()
        progress.log("Stopped and saved. The same command continues.")
        return None


@contextmanager
def _executor(
    shop: Workshop,
    base: Config,
    options: SweepOptions,
    progress: SweepProgress,
    interruption: Interruption,
) -> Iterator[Executor]:
    """Give the block what trains the runs. Interruptions are deferred to the end of the block."""
    if options.cluster is not None:
        from mlp_cli.sweep.cluster import cluster

        with (
            cluster(shop, options.cluster, options.jobs, progress.warn) as executor,
            interruption.deferred(),
        ):
            yield executor
        return
    with interruption.immediate():  # nothing is to be saved yet
        # With one thread, as this process may be forked.
        engine = build_engine(options.engine._replace(threads=1))
        engine.compile(np.dtype(base.training.dtype), progress.warn, progress.log)
    with interruption.deferred():
        if CAN_FORK:
            yield Processes(options.jobs, partial(run_job, shop, interruption))
        else:
            from mlp_cli.sweep.spawned import SpawnedProcesses  # its libraries take time to load

            yield SpawnedProcesses(options.jobs, shop)


def _forget_failures(folder: SweepFolder) -> None:
    """Remove the notes of failed runs, so that they are trained again."""
    for parent in (folder.trials, folder.confirm):
        with storage_errors("read", parent):
            for path in parent.glob("*/failed.json"):
                path.unlink(missing_ok=True)


class _Worker:
    """One process that works on a sweep, with what trains its runs."""

    def __init__(
        self,
        history: History,
        executor: Executor,
        options: SweepOptions,
        progress: SweepProgress,
        interruption: Interruption,
    ) -> None:
        self._history, self._executor, self._options = history, executor, options
        self._progress, self._interruption = progress, interruption
        self._searcher = Searcher(history)
        self._plan = Plan(history, self._searcher)
        self._values: dict[Job, Values] = {}  # of the runs that this process has begun
        self._tries: dict[Job, int] = {}
        self._error: MlpError | None = None  # that ends the sweep

    def work(self) -> bool:
        """Train until no run is left; return False if it was asked to stop before.

        Raises
        ------
        MlpError
            If nothing can be trained any more, or if a run failed and `fail_fast` is set.
        """
        sweep = self._history.sweep
        total = sweep.trials * sweep.seeds + sweep.confirm.top * sweep.confirm.seeds
        self._progress.begin(total, self._plan.count_done(), sweep)
        try:
            while not self._interruption.pending and self._error is None:
                self._start()
                self._progress.running(len(self._executor.jobs))
                if not self._executor.jobs and self._plan.is_finished():
                    return True
                self._executor.wait(TICK, self._settle)  # other processes may train what is left
        finally:
            self._executor.stop(self._settle)
        if self._error is not None:
            raise self._error
        return False

    def _start(self) -> None:
        """Begin as many runs as there are free places."""
        while self._executor.free and not self._interruption.pending:
            claimed = self._plan.next(self._executor.jobs)
            if claimed is None:
                return
            job = claimed.job
            self._values[job] = claimed.values
            self._tries[job] = self._tries.get(job, 0) + 1
            self._executor.start(claimed)

    def _settle(self, ended: Ended) -> None:
        """Note how a training ended; the lock of its run is still held."""
        job, code, message = ended
        state = self._history.run(job)
        if state.state == "open" and code == StorageError.exit_code:
            self._error = self._error or StorageError(message)
            return
        if state.state == "open":
            stopped = code == 0
            if stopped or (code < 0 and self._tries[job] < TRIES):
                return  # the run continues later
            found = {"seed": job.seed, "exit_code": code, "message": message}
            self._history.folder.write_json(self._history.folder.failed(job), found)
            state = self._history.run(job)
            if self._options.fail_fast:
                self._error = CheckFailedError(f"trial {job.trial} failed: {message}")
        self._progress.ended(job, self._values[job], state, message)

    def result(self) -> dict[str, Any]:
        """Write `result.json` and return its content; no run is left."""
        folder = self._history.folder
        confirming = self._plan.confirming()
        with folder.locked():
            result = conclude(self._history, self._searcher, confirming, self._plan.known)
            stored = folder.read_json(folder.result) if exists(folder.result) else {}
            if stored and "test" in stored and stored["confirmed"] == result["confirmed"]:
                result["test"] = stored["test"]
            elif self._options.test:
                result = score_winner(result, folder, confirming, self._options.data_dir)
            if result != stored:
                folder.write_json(folder.result, result)
        return result
