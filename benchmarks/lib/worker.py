"""The process of one contender: it trains on request, and sleeps in between.

    python -m lib.worker '{"module": ..., "options": {...}, "threads": 1, "cores": 1, "work": ...}'

Each line on stdin is a request, such as {"do": "measure", "seconds": 1}. The answer is one line of
JSON on stdout; the output of libraries goes to stderr. `cores` is the number of cores that the
process may use, or null for all; `threads` is null if the contender chooses.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from lib.workload import Workload


class Contender(Protocol):
    """What answers the requests."""

    def learn(self, starts: int, seconds: float) -> dict[str, Any]:
        """Train one epoch from each of `starts` seeds.

        Return a description, the threads, the mean accuracy, the seconds of the first epoch with
        all compilation, and the peak memory of the first training in MB. If an epoch takes much
        longer than `seconds`, a contender that can use fewer images in later epochs does.
        """

    def measure(self, seconds: float) -> dict[str, Any]:
        """Train whole epochs for at least `seconds`; return the samples, seconds, busy cores."""

    def score(self) -> dict[str, Any]:
        """Return the accuracy on the test images."""


class Training(Protocol):
    """A rival's training, one epoch at a time.

    If it has a true attribute `resizable`, its `samples` may be set to a smaller number.
    """

    samples: int
    about: str

    def start(self, seed: int) -> None:
        """Begin a new training: draw the initial weights, and seed the order of the images."""

    def epoch(self) -> None:
        """Train on `samples` images once, in a new order, and wait for the result."""

    def accuracy(self) -> float:
        """Return the accuracy on the test images."""


class Rival:
    """A contender whose epochs are timed from outside."""

    def __init__(self, training: Training, threads: int) -> None:
        self._training, self._threads = training, threads

    def learn(self, starts: int, seconds: float) -> dict[str, Any]:
        """Train one epoch from each of `starts` seeds."""
        training, times, accuracies, peak = self._training, [], [], 0.0
        for seed in range(starts):
            training.start(seed)
            started = time.perf_counter()
            training.epoch()
            times.append(time.perf_counter() - started)
            accuracies.append(training.accuracy())
            # Of the first training: during the second, the first may still be in memory.
            peak = peak or peak_memory()
        if getattr(training, "resizable", False) and times[-1] > 2 * seconds:
            training.samples = max(1000, int(training.samples * seconds / times[-1]))
        return {
            "about": training.about,
            "threads": self._threads,
            "accuracy": sum(accuracies) / starts,
            "seconds": times[0],
            "peak_memory": peak,
        }

    def measure(self, seconds: float) -> dict[str, Any]:
        """Train whole epochs for at least `seconds`."""
        samples, cpu, started = 0, time.process_time(), time.perf_counter()
        while (took := time.perf_counter() - started) < seconds:
            self._training.epoch()
            samples += self._training.samples
        cores = (time.process_time() - cpu) / took
        return {"samples": samples, "seconds": took, "cores": cores}

    def score(self) -> dict[str, Any]:
        """Return the accuracy on the test images."""
        return {"accuracy": self._training.accuracy()}


def peak_memory() -> float:
    """Return the peak of this process's resident memory, in MB."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    # On systems without /proc. This may include the memory of the parent at the fork.
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Make the contender and serve it until stdin ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    spec = json.loads(sys.argv[1])
    if spec["cores"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-spec["cores"] :])
    module = importlib.import_module(spec["module"])
    work = Workload.from_json(spec["work"])
    made = module.contender(work, spec["threads"], **spec["options"])
    contender: Contender = made if hasattr(made, "learn") else Rival(made, spec["threads"])
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(contender, request.pop("do"))(**request)
        print(json.dumps(answer), file=replies)


if __name__ == "__main__":
    main()
