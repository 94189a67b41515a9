"""Measure one workload: contenders take turns, with the machine's own rate measured in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self

from lib.command import log
from lib.contenders import OURS, Contender, Worker, WorkerError
from lib.machine import gemm_rate
from lib.workload import Workload

PAUSE = 0.3  # seconds between two measurements, so that the threads of the last one go to sleep

TOLERANCE = 0.01  # of the accuracy after an epoch of all images
TOLERANCE_OF_A_PART = 0.1  # after an epoch of few images, when a network still learns fast
LOST = 0.05  # a drop of the accuracy since the first epoch, beyond the variation of epochs


@dataclass
class Measured:
    """The measurements of one contender on one number of threads.

    Attributes
    ----------
    by_rule
        Whether it is ours and chose its threads itself, as `mlp train` does.
    rates
        Examples per second, for each repetition.
    cores
        The mean number of busy cores, for each repetition.
    first_epoch
        Seconds of the first epoch, including all compilation.
    accuracy, last_accuracy
        On the test images: the mean over several trainings of one epoch, and the value at the end.
    peak_memory
        The peak of resident memory in MB, in the first epoch and its scoring.
    """

    contender: Contender
    threads: int
    by_rule: bool
    about: str
    first_epoch: float
    accuracy: float
    peak_memory: float
    last_accuracy: float = 0.0
    rates: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of the rates."""
        return median(self.rates)


@dataclass
class Comparison:
    """All measurements of one workload; `gemm` maps threads to the best rate in flop/s."""

    work: Workload
    measured: list[Measured]
    gemm: dict[int, float]
    skipped: dict[str, str]

    @property
    def limit(self) -> float:
        """Examples per second if only matrix products took time, at the machine's best rate."""
        return max(self.gemm.values()) / self.work.flops

    def best(self, family: str) -> Measured | None:
        """Return the fastest of a family, over its members and numbers of threads."""
        found = [one for one in self.measured if one.contender.family == family]
        return max(found, key=lambda one: one.rate, default=None)

    def best_rival(self) -> Measured | None:
        """Return the fastest contender that is not ours."""
        found = [one for one in self.measured if one.contender.family != OURS]
        return max(found, key=lambda one: one.rate, default=None)

    def as_trained(self) -> list[Measured]:
        """Return ours, once for each set of kernels, on the threads that `mlp train` chooses."""
        return [one for one in self.measured if one.by_rule]

    @property
    def tolerance(self) -> float:
        """The largest allowed difference of accuracies after the first epoch."""
        return TOLERANCE if self.work.whole else TOLERANCE_OF_A_PART

    def faults(self) -> list[str]:
        """Name contenders whose accuracy differs from ours, or has dropped by the end."""
        if not self.as_trained():
            return []
        expected = self.as_trained()[0].accuracy
        found = []
        for one in self.measured:
            who = f"row {self.work.name}: {_name(one.contender, one.threads)}"
            if abs(one.accuracy - expected) > self.tolerance:
                found.append(
                    f"{who}: accuracy {one.accuracy:.4f} after the first epoch, ours {expected:.4f}"
                )
            if one.last_accuracy < one.accuracy - LOST:
                found.append(
                    f"{who}: accuracy {one.last_accuracy:.4f} at the end, "
                    f"{one.accuracy:.4f} after the first epoch"
                )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "row": self.work.name,
            "title": self.work.title,
            "learning_rate": self.work.learning_rate,
            "flops_per_sample": self.work.flops,
            "samples_per_epoch": self.work.samples,
            "gemm_flops_per_second": {str(threads): rate for threads, rate in self.gemm.items()},
            "limit": self.limit,
            "contenders": [self._contender_dict(one) for one in self.measured],
            "ours": [self.ratios(one) for one in self.as_trained()],
            "skipped": self.skipped,
            "faults": self.faults(),
        }

    def _contender_dict(self, one: Measured) -> dict[str, Any]:
        return {
            "name": one.contender.name,
            "family": one.contender.family,
            "about": one.about,
            "threads": one.threads,
            "by_rule": one.by_rule,
            "samples_per_second": one.rate,
            "repeats": one.rates,
            "share_of_limit": one.rate / self.limit,
            "cores_busy": median(one.cores),
            "peak_memory_mb": one.peak_memory,
            "first_epoch_seconds": one.first_epoch,
            "accuracy": one.accuracy,
            "last_accuracy": one.last_accuracy,
        }

    def ratios(self, one: Measured) -> dict[str, Any]:
        """Return the speed of one of ours relative to the rivals and to the limit."""

        def over(other: Measured | None) -> float | None:
            return one.rate / other.rate if other else None

        fastest = self.best_rival()
        return {
            "name": one.contender.name,
            "threads": one.threads,
            "samples_per_second": one.rate,
            "fastest_rival": fastest.contender.name if fastest else None,
            "over_fastest_rival": over(fastest),
            "over_jax": over(self.best("JAX")),
            "over_pytorch": over(self.best("PyTorch")),
            "over_sklearn": over(self.best("scikit-learn")),
            "share_of_limit": one.rate / self.limit,
            "peak_memory_mb": one.peak_memory,
        }


class _Field:
    """The contenders' processes during a comparison."""

    def __init__(self) -> None:
        self.running: list[tuple[Worker, Measured]] = []
        self.skipped: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker, _measured in self.running:
            worker.close()

    def start(
        self, contender: Contender, work: Workload, threads: int | None, seconds: float
    ) -> int | None:
        """Start a contender, let it train its first epoch, and return its threads.

        Without `threads` it chooses them. If it fails, the return value is None.
        """
        name = _name(contender, threads)
        log(f"{work.name}: first epoch of {name}")
        worker = Worker(contender, work, threads)
        try:
            learnt = worker.ask("learn", starts=work.starts, seconds=seconds)
        except WorkerError as error:
            self.skipped[name] = str(error)
            return None
        measured = Measured(
            contender,
            learnt["threads"],
            threads is None,
            learnt["about"],
            learnt["seconds"],
            learnt["accuracy"],
            learnt["peak_memory"],
        )
        self.running.append((worker, measured))
        return measured.threads

    def each(self, do: Callable[[Worker, Measured], None], backwards: bool = False) -> None:
        """Call `do` for every contender in turn; remove a contender that fails."""
        for worker, measured in self.running[:: -1 if backwards else 1]:
            time.sleep(PAUSE)
            try:
                do(worker, measured)
            except WorkerError as error:
                self.skipped[_name(measured.contender, measured.threads)] = str(error)
                self.running.remove((worker, measured))


def compare(
    work: Workload,
    contenders: Sequence[Contender],
    threads: Sequence[int],
    *,
    repeats: int,
    seconds: float,
) -> Comparison:
    """Measure the contenders on a workload, each on each number of threads, in turns.

    Ours are also measured on the number of threads that they choose.

    Each contender first trains an epoch and is scored. Then, `repeats` times, each trains whole
    epochs for at least `seconds`. The order is reversed every second time, so that a machine that
    slows down or speeds up favours no contender. A contender that fails is left out, with the
    reason.
    """

    def measure(worker: Worker, measured: Measured) -> None:
        found = worker.ask("measure", seconds=seconds)
        measured.rates.append(found["samples"] / found["seconds"])
        measured.cores.append(found["cores"])

    def score(worker: Worker, measured: Measured) -> None:
        measured.last_accuracy = worker.ask("score")["accuracy"]

    with _Field() as entrants:
        for contender in contenders:
            chosen = None
            if contender.family == OURS:
                chosen = entrants.start(contender, work, None, seconds)
            for count in threads:
                if count != chosen:
                    entrants.start(contender, work, count, seconds)
        gemm = dict.fromkeys(sorted({*threads, *(one.threads for _, one in entrants.running)}), 0.0)
        for turn in range(repeats):
            log(f"{work.name}: repetition {turn + 1} of {repeats}")
            for count in gemm:
                time.sleep(PAUSE)
                gemm[count] = max(gemm[count], gemm_rate(work.dtype, count))
            entrants.each(measure, backwards=turn % 2 == 1)
        entrants.each(score)
        measured = [measured for _, measured in entrants.running]
    return Comparison(work, measured, gemm, entrants.skipped)


def _name(contender: Contender, threads: int | None) -> str:
    if threads is None:
        return f"{contender.name}, threads by its rule"
    return f"{contender.name}, {threads} thread{'s' if threads > 1 else ''}"
