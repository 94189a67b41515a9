"""Signals: an interruption cleans up, and the process then dies by the signal itself.

A shell loop stops only where its child was killed by SIGINT; a child that exits with 130 lets the
loop go on. So the last act of an interrupted process is to send itself the signal again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """Turns the first signal into `Interrupted`, or into a flag while `deferred` holds it back.

    A second signal while one is held back is not waited for: it raises.
    """

    def __init__(self) -> None:
        self._deferring = False
        self._pending: int | None = None

    def install(self) -> None:
        """Handle the signals from now on; one that the parent had us ignore stays ignored."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferring and self._pending is None:
            self._pending = number
        else:
            raise Interrupted(number)

    @property
    def pending(self) -> bool:
        """Whether a signal is held back: whoever deferred it should come to an end."""
        return self._pending is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold a signal back until the block has ended; then raise `Interrupted` for it."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._pending is not None:
            raise Interrupted(self._pending)


def die_by(number: int) -> None:
    """End this process by the signal, as if nobody had handled it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
