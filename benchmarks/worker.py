"""One contender in a process of its own, which trains when it is asked to and else sleeps.

    python worker.py '{"module": ..., "options": {...}, "threads": 1, "cores": 1, "work": ...}'

It answers each line on stdin, as {"do": "measure", "seconds": 1}, with one line of JSON on stdout;
whatever libraries print goes to stderr. `cores` is null, or the number of cores to keep to.
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
    """A training that can be asked for one epoch after another.

    One with a true `resizable` takes fewer images from then on where `samples` is set lower.
    """

    samples: int
    about: str

    def start(self, seed: int) -> None:
        """Begin a training anew: draw the first weights and what the orders come from."""

    def epoch(self) -> None:
        """Train on `samples` images once, in a new order, to the end of the arithmetic."""

    def accuracy(self) -> float:
        """Return the share of the test images that the network gets right."""


def peak_memory() -> float:
    """Return the most memory that this process has had resident, in MB."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    # Without /proc: this counts what the parent had at the fork, too.
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def learn(contender: Contender, starts: int, seconds: float) -> dict[str, Any]:
    """Train one epoch from each of so many starts, and see what was learnt in the mean.

    The seconds in the answer are those of the very first epoch, with all compiling there is. One
    that can take fewer images and would need much more than `seconds` for an epoch does from now.
    """
    times, accuracies, peak = [], [], 0.0
    for seed in range(starts):
        contender.start(seed)
        started = time.perf_counter()
        contender.epoch()
        times.append(time.perf_counter() - started)
        accuracies.append(contender.accuracy())
        peak = peak or peak_memory()  # of one training: the next starts beside the last
    if getattr(contender, "resizable", False) and times[-1] > 2 * seconds:
        contender.samples = max(1000, int(contender.samples * seconds / times[-1]))
    return {"accuracy": sum(accuracies) / starts, "seconds": times[0], "peak_memory": peak}


def measure(contender: Contender, seconds: float) -> dict[str, Any]:
    """Train whole epochs for at least so long; return what was done in what time."""
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
    """Score the test images."""
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
