"""Progress, log lines and warnings on stderr.

On a terminal and in a notebook, tqdm draws a bar for the whole training. Otherwise there is one
plain line per epoch, without carriage returns or escape codes, and tqdm is not imported. A line of
an epoch fits into 80 columns, and the bar into 60.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mlp_cli.errors import visible_lines
from mlp_cli.runs.colour import YELLOW, coloured, is_screen

if TYPE_CHECKING:
    from mlp_cli.storage.header import State
    from mlp_cli.training.metrics import EpochMetrics


TRAINING = "training"  # the name of its bar
LAYOUT = "{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}, {rate_fmt}"


class ProgressObserver:
    """Shows on stderr what a training does; see `training.observer.Observer`.

    Parameters
    ----------
    quiet
        Show warnings only.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        # sys.stderr is None if the caller closed it.
        on_screen = sys.stderr is not None and is_screen(sys.stderr)
        self._draws = (on_screen or _in_notebook()) and not quiet
        self._bar: Any = None
        self._bar_name = ""

    def __enter__(self) -> Self:
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
        self._write(message, "WARNING: ")

    def download(self, name: str, done: int, total: int | None) -> None:
        """Show how many bytes of a file have arrived."""
        bar = self._bar_for(name, total, unit="B", unit_scale=True, unit_divisor=1024)
        if bar is not None:
            bar.update(done - bar.n)

    def images(self, done: int, total: int) -> None:
        """Show how many images of a source are read."""
        bar = self._bar_for("images", total, initial=done - 1, unit=" images")
        if bar is not None:
            bar.update(done - bar.n)

    def distortions(self, done: int, total: int) -> None:
        """Show how many distortions of images are classified."""
        bar = self._bar_for("distortions", total, unit_scale=True, unit="")
        if bar is not None:
            bar.update(done - bar.n)

    def chunk(self, state: State, epochs: int, rows: int, loss: float) -> None:
        """Show how much of the training is done, the loss, and the time that is left."""
        done = state.epoch * rows + state.position
        name, shown = f"epoch {state.epoch + 1}/{epochs}", f"loss {loss:.4f}"
        bar = self._bar_for(
            TRAINING,
            epochs * rows,
            desc=name,
            postfix=shown,
            initial=done,
            unit=" samples",
            unit_scale=True,
            bar_format=LAYOUT,
        )
        if bar is not None:
            bar.set_description_str(name, refresh=False)
            bar.set_postfix_str(shown, refresh=False)
            bar.update(done - bar.n)

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Write the line of a finished epoch."""
        parts = [
            f"epoch {metrics.epoch}/{epochs}",
            f"train loss {metrics.train_loss:.4f}, {100 * metrics.train_accuracy:.2f} %",
        ]
        if metrics.val_loss is not None and metrics.val_accuracy is not None:
            parts.append(f"val loss {metrics.val_loss:.4f}, {100 * metrics.val_accuracy:.2f} %")
        parts.append(f"{metrics.samples_per_second:,.0f}/s")
        self.log("  ".join(parts))

    def _write(self, message: str, label: str = "") -> None:
        if self._bar_name != TRAINING:  # the bar of a training stays, below the line
            self._close()
        if self._bar is not None:
            self._bar.clear()
        with suppress(OSError):  # a closed pipe or a full disk must not end a training
            if sys.stderr is not None:
                label = label and coloured(label, YELLOW, sys.stderr)
                sys.stderr.write(f"{label}{visible_lines(message)}\n")
                sys.stderr.flush()
        if self._bar is not None:
            self._bar.refresh()

    def _bar_for(self, name: str, total: int | None, **options: Any) -> Any:
        if not self._draws:
            return None
        if self._bar is None or self._bar_name != name:
            self._close()
            options = {"desc": name, "leave": False, "dynamic_ncols": True, **options}
            self._bar = bar_type()(total=total, **options)
            self._bar_name = name
        return self._bar

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def bar_type() -> Any:
    """Return the class of progress bars: a notebook has its own."""
    if _in_notebook():
        from tqdm.auto import tqdm as notebook_bar  # takes longer to import

        return notebook_bar
    from tqdm import tqdm

    return tqdm
