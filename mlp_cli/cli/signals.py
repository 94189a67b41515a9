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
    """Turns a signal into `Interrupted`, or into a flag while `deferred` holds the first one back.

    Within the block that it is the context of; after that a signal ends the process at once.
    """

    def __init__(self) -> None:
        self._deferring = False
        self._seen: int | None = None

    def __enter__(self) -> Signals:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as the parent wants it
                signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        if self._seen is not None and kind is None:  # an error is still to be told
            raise Interrupted(self._seen)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self._seen = self._seen is None, number
        if not (self._deferring and first):
            raise Interrupted(number)

    @property
    def pending(self) -> bool:
        """Whether there was a signal: whoever deferred it should come to an end.

        Also where it was raised and some library caught it, as a bare `except` does.
        """
        return self._seen is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold a signal back until the block has ended; then raise `Interrupted` for it.

        A second signal is not held back: it raises.
        """
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._seen is not None:
            raise Interrupted(self._seen)


def die_by(number: int) -> None:
    """End this process by the signal, as if nobody had handled it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
