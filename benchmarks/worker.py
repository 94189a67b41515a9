"""The process of one contender: it trains on request, and sleeps in between.

    python worker.py '{"module": ..., "options": {...}, "threads": 1, "cores": 1, "work": ...}'

Each line on stdin is a request, such as {"do": "measure", "seconds": 1}. The answer is one line of
JSON on stdout; the output of libraries goes to stderr. `cores` is the number of cores that the
process may use, or null for all.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from workload import Workload


class Contender(Protocol):
    """A training that runs one epoch at a time.

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


def learn(contender: Contender, starts: int, seconds: float) -> dict[str, Any]:
    """Train one epoch from each of `starts` seeds; return the mean accuracy, seconds and memory.

    The seconds are those of the very first epoch, including all compilation. If the contender is
    resizable and an epoch takes much longer than `seconds`, its later epochs have fewer images.
    """
    times, accuracies, peak = [], [], 0.0
    for seed in range(starts):
        contender.start(seed)
        started = time.perf_counter()
        contender.epoch()
        times.append(time.perf_counter() - started)
        accuracies.append(contender.accuracy())
        peak = (
            peak or peak_memory()
        )  # of the first training: during the second, the first may still be in memory
    if getattr(contender, "resizable", False) and times[-1] > 2 * seconds:
        contender.samples = max(1000, int(contender.samples * seconds / times[-1]))
    return {"accuracy": sum(accuracies) / starts, "seconds": times[0], "peak_memory": peak}


def measure(contender: Contender, seconds: float) -> dict[str, Any]:
    """Train whole epochs for at least `seconds`; return the samples, seconds and busy cores."""
    samples = 0
    cpu, started = time.process_time(), time.perf_counter()
    while (took := time.perf_counter() - started) < seconds:
        contender.epoch()
        samples += contender.samples
    return {
        "samples": samples,
        "seconds": took,
        "cores": (time.process_time() - cpu) / took,
    }


def score(contender: Contender) -> dict[str, Any]:
    """Return the accuracy on the test images."""
    return {"accuracy": contender.accuracy()}


REQUESTS: dict[str, Callable[..., dict[str, Any]]] = {
    "learn": learn,
    "measure": measure,
    "score": score,
}


def main() -> None:
    """Make the contender and serve it until stdin ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    spec = json.loads(sys.argv[1])
    if spec["cores"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-spec["cores"] :])
    module = importlib.import_module(spec["module"])
    work = Workload.from_json(spec["work"])
    contender: Contender = module.contender(work, spec["threads"], **spec["options"])
    print(json.dumps({"about": contender.about}), file=replies)
    for line in sys.stdin:
        request = json.loads(line)
        do = REQUESTS[request.pop("do")]
        print(json.dumps(do(contender, **request)), file=replies)


if __name__ == "__main__":
    main()
