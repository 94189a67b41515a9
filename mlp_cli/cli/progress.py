"""Progress, log lines and warnings on stderr.

On a terminal, tqdm draws bars. Otherwise there is one plain line per epoch, without carriage
returns or escape codes, and tqdm is not imported.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlp_cli.cli.signals import Signals

if TYPE_CHECKING:
    from mlp_cli.training.metrics import EpochMetrics
    from mlp_cli.training.trainer import State


class TerminalObserver:
    """Shows on stderr what a command does; see `training.observer.Observer`.

    Parameters
    ----------
    quiet
        Show warnings only.
    epochs
        Total number of epochs, shown in the line of each epoch.
    signals
        The handler that defers signals during a training.
    """

    def __init__(
        self, *, quiet: bool = False, epochs: int = 0, signals: Signals | None = None
    ) -> None:
        self._quiet = quiet
        self._epochs = epochs
        self._signals = signals or Signals()
        # sys.stderr is None if the caller closed it.
        self._draws = sys.stderr is not None and sys.stderr.isatty() and not quiet
        self._bar: Any = None
        self._bar_name = ""

    def __enter__(self) -> TerminalObserver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def log(self, message: str) -> None:
        """Write a line, unless `quiet`."""
        if not self._quiet:
            self._write(message)

    def warn(self, message: str) -> None:
        """Write a warning, even if `quiet`."""
        self._write(f"WARNING: {message}")

    def download(self, name: str, done: int, total: int | None) -> None:
        """Show how many bytes of a file have arrived."""
        bar = self._bar_for(name, total, unit="B", unit_scale=True, unit_divisor=1024)
        if bar is not None:
            bar.update(done - bar.n)

    def chunk(self, state: State, total: int, loss: float) -> None:
        """Show how many examples of the epoch are done, and their loss."""
        bar = self._bar_for(f"epoch {state.epoch + 1}/{self._epochs}", total, unit=" samples")
        if bar is not None:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            bar.update(state.position - bar.n)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Write the line of a finished epoch."""
        parts = [
            f"epoch {metrics.epoch}/{self._epochs}",
            f"train loss {metrics.train_loss:.4f} accuracy {100 * metrics.train_accuracy:.2f} %",
        ]
        if metrics.val_loss is not None and metrics.val_accuracy is not None:
            parts.append(
                f"val loss {metrics.val_loss:.4f} accuracy {100 * metrics.val_accuracy:.2f} %"
            )
        parts.append(f"{metrics.samples_per_second:,.0f} samples/s")
        self.log("  ".join(parts))

    def stop(self) -> bool:
        """Return whether a signal asks the training to save and stop."""
        return self._signals.pending

    def deferred(self) -> AbstractContextManager[None]:
        """Defer signals within the block; `stop` reports them."""
        return self._signals.deferred()

    def _write(self, message: str) -> None:
        self._close()
        with suppress(OSError):  # a closed pipe or a full disk must not end a training
            if sys.stderr is not None:
                sys.stderr.write(f"{message}\n")
                sys.stderr.flush()

    def _bar_for(self, name: str, total: int | None, **options: Any) -> Any:
        if not self._draws:
            return None
        if self._bar is None or self._bar_name != name:
            from tqdm import tqdm

            self._close()
            self._bar = tqdm(total=total, desc=name, leave=False, dynamic_ncols=True, **options)
            self._bar_name = name
        return self._bar

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
