"""What a training writes to disk, and when.

`last.npz` is written at the end of an epoch and within one, but never so often that saving takes
more than one part in `SHARE` of the time. So a training that is killed loses at most `LONGEST`
seconds of work, or `SHARE` times the duration of a save if that is more. A training that ends, or
is stopped by a signal, loses nothing.

The best weights wait in memory for the next save. Each file is written after those that it relies
on: the lines of `metrics.jsonl`, then `best.npz`, then the `last.npz` whose state counts both. A
training that resumes from an older `last.npz` makes the same lines and the same best again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlp_cli.config.schema import Config
from mlp_cli.nn.buffers import Array
from mlp_cli.runs.folder import RunFolder
from mlp_cli.storage.checkpoint import save_checkpoint
from mlp_cli.storage.header import Header
from mlp_cli.training.metrics import EpochMetrics
from mlp_cli.training.trainer import Trainer

SHARE = 100
LONGEST = 10.0  # seconds


class Saver:
    """Saves one training to its folder.

    Parameters
    ----------
    trainer, config, environment
        What is saved, its configuration, and the record of the machine.
    folder
        The folder of the run.
    elapsed
        Returns the seconds of the run so far, over all sittings.
    """

    def __init__(
        self,
        trainer: Trainer,
        config: Config,
        environment: dict[str, Any],
        folder: RunFolder,
        elapsed: Callable[[], float],
    ) -> None:
        self._trainer = trainer
        self._config = config
        self._environment = environment
        self._folder = folder
        self._elapsed = elapsed
        self._validates = len(trainer.dataset.validation) > 0
        network = trainer.network
        of_best = np.empty_like(network.parameters), np.empty_like(network.statistics)
        self._best = of_best if self._validates else None
        self._best_header: dict[str, Any] | None = None  # of a best that is not yet on disk
        self._saved, self._took = time.monotonic(), 0.0
        self._saved_place: tuple[int, int] | None = None

    def chunk_ended(self) -> None:
        """Save within an epoch, if the last save is long ago.

        Raises
        ------
        ConfigError, DivergedError, StorageError
            As `save`.
        """
        if time.monotonic() - self._saved >= max(LONGEST, SHARE * self._took):
            self.save()

    def epoch_ended(self, metrics: EpochMetrics) -> None:
        """Append the record of an epoch, keep its weights if they are the best, save if it is time.

        Raises
        ------
        ConfigError, DivergedError, StorageError
            As `save`.
        """
        self._folder.append_metrics(metrics.to_json())
        if self._best is not None and self._trainer.is_best:
            for kept, vector in zip(self._best, self._trainer.evaluated, strict=True):
                kept[...] = vector
            self._best_header = self._header()
        if time.monotonic() - self._saved >= SHARE * self._took:
            self.save()

    def save(self) -> None:
        """Write the best weights and all that resuming needs, if they are new.

        Raises
        ------
        DivergedError
            If a parameter is not finite; the old checkpoint stays.
        ConfigError
            If another folder was made in place of the run's; nothing is written.
        StorageError
            If it cannot be written; the old checkpoint stays.
        """
        started = time.monotonic()
        trainer, folder = self._trainer, self._folder
        # Not the step alone: the end of an epoch changes the state without another step.
        place = (trainer.state.epoch, trainer.state.position)
        if place == self._saved_place and self._best_header is None:
            return
        trainer.check()
        folder.sync_metrics()
        if self._best is not None and self._best_header is not None:
            self._write(folder.best, self._arrays(*self._best), self._best_header)
            self._best_header = None
        vectors, header = dict(trainer.vectors), self._header()
        parameters, statistics = vectors.pop("parameters"), vectors.pop("statistics")
        decoder = trainer.network.named_decoder(parameters)
        arrays = self._arrays(parameters, statistics) | decoder | vectors
        if not self._validates and trainer.state.epoch:
            self._write(folder.best, self._arrays(*trainer.evaluated) | vectors, header)
        self._write(folder.last, arrays, header)
        self._saved, self._saved_place = time.monotonic(), place
        self._took = self._saved - started

    def _write(
        self, path: Path, arrays: dict[str, np.ndarray[Any, Any]], header: dict[str, Any]
    ) -> None:
        save_checkpoint(path, arrays, header, check=self._folder.lock.check)

    def _header(self) -> dict[str, Any]:
        trainer = self._trainer
        trainer.state.seconds = self._elapsed()
        data = trainer.dataset.record
        return Header(self._config.to_dict(), data, trainer.state, self._environment).to_dict()

    def _arrays(self, parameters: Array, statistics: Array) -> dict[str, np.ndarray[Any, Any]]:
        trainer, network = self._trainer, self._trainer.network
        arrays: dict[str, np.ndarray[Any, Any]] = network.named(parameters, statistics)
        arrays["input.mean"] = np.array(trainer.scaling.mean, network.dtype)
        arrays["input.std"] = np.array(trainer.scaling.std, network.dtype)
        return arrays
