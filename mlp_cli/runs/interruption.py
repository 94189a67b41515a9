"""How a training is asked to stop, so that it saves itself first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Protocol

# The signals that ask a program to end. Windows has SIGBREAK in place of SIGHUP. It sends it for
# Ctrl-Break, and if the terminal's window is closed.
SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)


class Interruption(Protocol):
    """Says whether a training should stop."""

    @property
    def pending(self) -> bool:
        """Whether the training should save itself and end."""

    def deferred(self) -> AbstractContextManager[None]:
        """Hold interruptions back during the block; `pending` tells of them."""

    def immediate(self) -> AbstractContextManager[None]:
        """Let an interruption end the block at once, though a library may catch exceptions."""


class DeferredInterrupt:
    """Holds Ctrl-C back until the training has saved itself, then raises `KeyboardInterrupt`.

    A second Ctrl-C is not held back. Outside the main thread Python receives no signals, and
    nothing is held back.
    """

    def __init__(self) -> None:
        self.pending = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold Ctrl-C back during the block.

        Raises
        ------
        KeyboardInterrupt
            After the block, if there was one.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        if self.pending:
            raise KeyboardInterrupt

    def immediate(self) -> AbstractContextManager[None]:
        """Leave Ctrl-C to Python."""
        return nullcontext()
