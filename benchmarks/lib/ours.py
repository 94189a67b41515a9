"""`mlp` as a contender, through the functions that `mlp_cli` exports."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lib.images import raw_copy
from lib.worker import peak_memory
from lib.workload import Workload

from mlp_cli import SilentObserver, evaluate, train

ENDLESS = 1_000_000  # epochs


class Burst(SilentObserver):
    """Counts a training's images and seconds, and stops it after some seconds, as Ctrl-C does.

    The seconds are those of the epochs' metrics: from the shuffle to the last update. Validation,
    saving and loading are not counted. Neither is the first epoch, whose memory is new.
    """

    def __init__(self, images: int, seconds: float) -> None:
        self._images, self._wanted = images, seconds
        self.samples, self.seconds = 0, 0.0
        self.clocks: list[tuple[float, float]] = []  # after each epoch: wall and CPU seconds

    def epoch(self, metrics: Any, epochs: int) -> None:
        """Count an epoch, and stop the training if that is enough."""
        if self.clocks:
            self.samples += self._images
            self.seconds += self._images / metrics.samples_per_second
        self.clocks.append((time.perf_counter(), time.process_time()))
        if self.seconds >= self._wanted:
            signal.raise_signal(signal.SIGINT)


class Ours:
    """Trainings by `mlp_cli.train`. The last one that `learn` begins is continued by `measure`."""

    def __init__(self, work: Workload, threads: int | None, kernels: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._config = work.config(validation=0, epochs=ENDLESS)
        if not work.whole:
            part = raw_copy(Path(work.data), Path(self._folder.name) / "data", work.samples)
            self._config["data"]["path"] = str(part)
        self._images, self._threads, self._kernels = work.samples, threads, kernels

    def learn(self, starts: int, seconds: float) -> dict[str, Any]:
        """Train one epoch from each of `starts` seeds.

        The seconds of the first epoch include those in which the data and the kernels are loaded.
        """
        took, peak, accuracies = 0.0, 0.0, []
        for seed in range(starts):
            self._config["seed"] = seed
            self._out = Path(self._folder.name) / f"run-{seed}"
            started = time.perf_counter()
            self._train(0)
            took = took or time.perf_counter() - started
            accuracies.append(self.score()["accuracy"])
            peak = peak or peak_memory()
        record = json.loads((self._out / "env.json").read_text())
        return {
            "about": f"kernels {record['kernels']}, NumPy {record['numpy']}, {record['blas']}",
            "threads": record["threads"],
            "accuracy": sum(accuracies) / starts,
            "seconds": took,
            "peak_memory": peak,
        }

    def measure(self, seconds: float) -> dict[str, Any]:
        """Train whole epochs for at least `seconds`."""
        burst = self._train(seconds)
        (wall, cpu), *_, (wall_end, cpu_end) = burst.clocks
        cores = (cpu_end - cpu) / (wall_end - wall)
        return {"samples": burst.samples, "seconds": burst.seconds, "cores": cores}

    def _train(self, seconds: float) -> Burst:
        burst = Burst(self._images, seconds)
        with suppress(KeyboardInterrupt):  # how the burst ends
            train(
                self._config,
                out=self._out,
                threads=self._threads,
                kernels=self._kernels,
                observer=burst,
                resume=True,
            )
        return burst

    def score(self) -> dict[str, Any]:
        """Return the accuracy on the test images."""
        return {"accuracy": evaluate(self._out / "last.npz").accuracy}


def contender(work: Workload, threads: int | None, kernels: str) -> Ours:
    """Make the contender."""
    return Ours(work, threads, kernels)
