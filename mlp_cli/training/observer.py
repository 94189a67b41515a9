"""What a training tells of itself while it runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from mlp_cli.training.metrics import EpochMetrics
from mlp_cli.training.trainer import State


class Observer(Protocol):
    """What a training shows of itself, and how it is asked to stop."""

    def log(self, message: str) -> None:
        """Tell how things go."""

    def warn(self, message: str) -> None:
        """Tell the user something that must not be missed."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """Show the bytes of a file that have arrived."""

    def chunk(self, state: State, total: int, loss: float) -> None:
        """Show that another chunk of the epoch's `total` rows is behind, at a mean loss."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Show the record of an epoch that is behind."""

    def stop(self) -> bool:
        """Whether the training should save itself and end."""

    def deferred(self) -> AbstractContextManager[None]:
        """Hold interruptions back, for `stop` to tell of them."""
