"""What the folders of a sweep say: how far each run and each trial has come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from mlp_cli.errors import StorageError
from mlp_cli.runs.folder import RunFolder
from mlp_cli.runs.records import read_metrics
from mlp_cli.storage.files import exists
from mlp_cli.sweep.definition import Sweep
from mlp_cli.sweep.folder import SweepFolder
from mlp_cli.sweep.trials import Job, trial_seeds

State = Literal["open", "finished", "diverged", "pruned", "failed"]


class RunState(NamedTuple):
    """How far a run has come.

    `value` is what the sweep minimises, at the best epoch; infinite if the run diverged, and None
    if it is not finished. `seconds` is its time of training.
    """

    state: State
    value: float | None = None
    seconds: float = 0.0


class TrialState(NamedTuple):
    """How far a trial has come; `value` is the mean of its runs, and `runs` their states."""

    state: State
    value: float | None
    runs: tuple[RunState, ...]


OPEN = RunState("open")


class History:
    """Reads the folders of a sweep. What cannot change any more is read once."""

    def __init__(self, sweep: Sweep, folder: SweepFolder) -> None:
        self.sweep, self.folder = sweep, folder
        self._runs: dict[Job, RunState] = {}
        self._curves: dict[int, list[float]] = {}
        self.seconds = 0.0  # of training, of all runs that have been found settled

    def run(self, job: Job) -> RunState:
        """Return the state of a run.

        Raises
        ------
        StorageError
            If a file cannot be read.
        """
        if job in self._runs:
            return self._runs[job]
        found = self._read(job)
        if found.state != "open":
            self._runs[job] = found
            self.seconds += found.seconds
        return found

    def trial(self, number: int) -> TrialState:
        """Return the state of a trial. A run that diverged or failed is the end of its trial."""
        runs = tuple(self.run(Job(number, seed)) for seed in trial_seeds(self.sweep))
        for state in ("failed", "diverged", "pruned", "open"):
            if any(run.state == state for run in runs):
                value = math.inf if state == "diverged" else None
                return TrialState(state, value, runs)
        values = [run.value for run in runs if run.value is not None]
        return TrialState("finished", sum(values) / len(values), runs)

    def missing(self, number: int) -> list[Job]:
        """Return the runs of a trial that are left: first one, and the others if that is good."""
        jobs = [Job(number, seed) for seed in trial_seeds(self.sweep)]
        if self.trial(number).state != "open":
            return []
        if self.run(jobs[0]).state == "open":
            return jobs[:1]
        return [job for job in jobs if self.run(job).state == "open"]

    def curve(self, number: int) -> list[float]:
        """Return what is minimised after each epoch of a trial's first run.

        Raises
        ------
        StorageError
            If the file cannot be read or is damaged.
        """
        if number in self._curves:
            return self._curves[number]
        job = Job(number, trial_seeds(self.sweep)[0])
        settled = self.run(job).state != "open"
        metrics = read_metrics(RunFolder(self.folder.run(job)).metrics)
        curve = [self._value(line) for line in metrics]
        if settled:
            self._curves[number] = curve
        return curve

    def started(self) -> Iterator[int]:
        """Yield the numbers of the trials that have a folder."""
        for entry in self.folder.trials.iterdir():
            if entry.name.isdecimal():
                yield int(entry.name)

    def ranked(self, numbers: Sequence[int]) -> list[int]:
        """Return those of the trials that are finished, the best first."""
        found = [
            (state.value, number)
            for number in numbers
            if (state := self.trial(number)).state == "finished"
        ]
        return [number for _, number in sorted(found)]

    def _read(self, job: Job) -> RunState:
        folder = RunFolder(self.folder.run(job))
        try:
            result = folder.read_result()
        except StorageError as error:
            if not isinstance(error.__cause__, ValueError):
                raise
            return OPEN  # a damaged result is written again if the run is resumed
        if result is not None:
            return RunState("finished", self._final(folder, result), result["seconds"])
        if exists(folder.divergence):
            return RunState("diverged", math.inf, self._seconds(folder))
        if not job.confirms and exists(self.folder.pruned(job.trial)):
            return RunState("pruned", None, self._seconds(folder))
        failed = self.folder.read_json(self.folder.failed(job))
        if failed is not None and failed.get("seed") == job.seed:
            return RunState("failed", None, self._seconds(folder))
        return OPEN

    def _final(self, folder: RunFolder, result: dict[str, Any]) -> float:
        if self.sweep.minimise == "val_error":
            return 1.0 - float(result["val_accuracy"])
        return self._value(read_metrics(folder.metrics)[result["best_epoch"] - 1])

    def _value(self, line: dict[str, Any]) -> float:
        if self.sweep.minimise == "val_error":
            return 1.0 - float(line["val_accuracy"])
        return float(line["val_loss"])

    @staticmethod
    def _seconds(folder: RunFolder) -> float:
        return sum(float(line["seconds"]) for line in read_metrics(folder.metrics))
