"""Measure one workload: contenders take turns, after the rate of the cores was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self

from lib.command import log
from lib.contenders import OURS, Contender, Worker, WorkerError
from lib.machine import core_rate
from lib.processes import busy
from lib.workload import Workload

PAUSE = 0.3  # seconds between two measurements, so that the threads of the last one go to sleep

FAR = 0.8  # of the best rate

TOLERANCE = 0.01  # of the accuracy after an epoch of all images
TOLERANCE_OF_A_PART = 0.1  # after one epoch alone, or one of few images, which still varies much
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
        On the test images: the mean over several trainings of one epoch, and the value at the end,
        or None if it was not scored then.
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
    last_accuracy: float | None = None
    rates: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of the rates."""
        return median(self.rates)

    def over(self, other: Measured) -> list[float]:
        """Return the ratios to another in each repetition: their median, least and largest."""
        ratios = [mine / its for mine, its in zip(self.rates, other.rates, strict=True)]
        return [median(ratios), min(ratios), max(ratios)]


@dataclass
class Comparison:
    """All measurements of one workload; `cores` maps threads to the cores' rate in flop/s."""

    work: Workload
    measured: list[Measured]
    cores: dict[int, float]
    skipped: dict[str, str]

    @property
    def limit(self) -> float:
        """Examples per second if only matrix products took time, at the best rate of the cores."""
        return max(self.cores.values()) / self.work.flops

    @property
    def limit_of_lit(self) -> float:
        """The same if pixels that are 0 took no time."""
        return max(self.cores.values()) / self.work.flops_of_lit

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
        many = self.work.whole and self.work.most_starts > 1
        return TOLERANCE if many else TOLERANCE_OF_A_PART

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
            if one.last_accuracy is not None and one.last_accuracy < one.accuracy - LOST:
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
            "flops_per_sample_of_lit": self.work.flops_of_lit,
            "share_lit": self.work.lit,
            "core_flops_per_second": {str(threads): rate for threads, rate in self.cores.items()},
            "limit": self.limit,
            "limit_of_lit": self.limit_of_lit,
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
            "share_of_limit_of_lit": one.rate / self.limit_of_lit,
            "cores_busy": median(one.cores),
            "peak_memory_mb": one.peak_memory,
            "first_epoch_seconds": one.first_epoch,
            "accuracy": one.accuracy,
            "last_accuracy": one.last_accuracy,
        }

    def ratios(self, one: Measured) -> dict[str, Any]:
        """Return the speed of one of ours relative to the rivals and to the limit."""

        def over(other: Measured | None) -> float | None:
            return one.over(other)[0] if other else None

        fastest = self.best_rival()
        return {
            "name": one.contender.name,
            "threads": one.threads,
            "samples_per_second": one.rate,
            "fastest_rival": fastest.contender.name if fastest else None,
            "over_fastest_rival": over(fastest),
            "over_fastest_rival_range": one.over(fastest)[1:] if fastest else None,
            "over_jax": over(self.best("JAX")),
            "over_pytorch": over(self.best("PyTorch")),
            "over_sklearn": over(self.best("scikit-learn")),
            "share_of_limit": one.rate / self.limit,
            "share_of_limit_of_lit": one.rate / self.limit_of_lit,
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
        found = (learnt[key] for key in ("about", "seconds", "accuracy", "peak_memory"))
        measured = Measured(contender, learnt["threads"], threads is None, *found)
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

    def end_slow(self) -> None:
        """End a process that is FAR behind its contender's on another number of threads."""
        best: dict[str, float] = {}
        for _worker, one in self.running:
            best[one.contender.key] = max(*one.rates, best.get(one.contender.key, 0))
        for worker, one in [*self.running]:
            if max(one.rates) < FAR * best[one.contender.key]:
                worker.close()
                self.running.remove((worker, one))


def compare(
    work: Workload,
    contenders: Sequence[Contender],
    threads: Sequence[int],
    *,
    repeats: int,
    seconds: float,
    busy_processes: int = 0,
    quick: bool = False,
) -> Comparison:
    """Measure the contenders on a workload, each on each number of threads, in turns.

    Ours are also measured on the number of threads that they choose. If it must be `quick`, they
    are measured on that alone. A rival's number of threads is then given up after two repetitions
    if it is much the slower one, and nobody is scored again at the end.

    Each contender first trains an epoch and is scored. Then, `repeats` times, each trains whole
    epochs for at least `seconds`. The order is reversed every second time, so that a machine that
    slows down or speeds up favours no contender. `busy_processes` run beside these repetitions. A
    contender that fails is left out, with the reason.
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
            for count in threads if contender.family != OURS or not quick else ():
                if count != chosen:
                    entrants.start(contender, work, count, seconds)
        counts = sorted({*threads, *(one.threads for _, one in entrants.running)})
        cores = {count: core_rate(work.dtype, count) for count in counts}
        with busy(busy_processes):
            for turn in range(repeats):
                log(f"{work.name}: repetition {turn + 1} of {repeats}")
                entrants.each(measure, backwards=turn % 2 == 1)
                if quick and turn > 0:
                    entrants.end_slow()
        if not quick:
            entrants.each(score)
        measured = [measured for _, measured in entrants.running]
    return Comparison(work, measured, cores, entrants.skipped)


def _name(contender: Contender, threads: int | None) -> str:
    if threads is None:
        return f"{contender.name}, threads by its rule"
    return f"{contender.name}, {threads} thread{'s' if threads > 1 else ''}"
