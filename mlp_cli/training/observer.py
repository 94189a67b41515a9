"""What a training tells while it runs."""

from __future__ import annotations

from typing import Protocol

from mlp_cli.storage.header import State
from mlp_cli.training.metrics import EpochMetrics


class Observer(Protocol):
    """Is told what a training does, to show it."""

    def log(self, message: str) -> None:
        """Show a message about progress."""

    def warn(self, message: str) -> None:
        """Show a message that the user must not miss."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """Show how many bytes of a file have arrived; `total` is None if nobody knows it."""

    def chunk(self, state: State, epochs: int, rows: int, loss: float) -> None:
        """Show that a chunk was trained on, at this mean loss.

        The training has `epochs` epochs of `rows` rows.
        """

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Show the record of an epoch that is finished; the training has `epochs` of them."""


class SilentObserver:
    """Shows nothing."""

    def log(self, message: str) -> None:
        """Ignore a message."""

    def warn(self, message: str) -> None:
        """Ignore a warning."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """Ignore arriving bytes."""

    def chunk(self, state: State, epochs: int, rows: int, loss: float) -> None:
        """Ignore a chunk."""

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Ignore an epoch."""
