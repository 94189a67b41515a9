"""Training in this process, with a chosen end."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from mlp_cli.compute.select import EngineChoice
from mlp_cli.config.schema import Config
from mlp_cli.runs.train import RunOptions, train_run
from mlp_cli.storage.header import State
from mlp_cli.training.metrics import EpochMetrics
from mlp_cli.training.observer import SilentObserver


class Stop(SilentObserver):
    """Stops a training after so many chunks or epochs, and keeps its warnings."""

    def __init__(self, *, chunks: float = math.inf, epochs: float = math.inf) -> None:
        self.chunks, self.epochs = chunks, epochs
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def chunk(self, state: State, epochs: int, rows: int, loss: float) -> None:
        self.chunks -= 1

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        self.epochs -= 1

    @property
    def pending(self) -> bool:
        return self.chunks <= 0 or self.epochs <= 0

    def deferred(self) -> AbstractContextManager[None]:
        return nullcontext()

    immediate = deferred


def resume(
    run: Path, config: Config, stop: Stop | None = None, *, fast: bool = False
) -> tuple[bool, list[str]]:
    """Start or continue a run; return whether it is finished, and the warnings."""
    stop = stop or Stop()
    options = RunOptions(run.parent, [], run, "resume", "test", EngineChoice(1, fast))
    _, result = train_run(config, options, stop, stop)
    return result is not None, stop.warnings
