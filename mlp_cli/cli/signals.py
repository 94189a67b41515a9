"""Signals: an interrupted process cleans up, then ends by the same signal.

A shell loop stops only if its child is killed by SIGINT; after a child that exits with 130, the
loop continues. So an interrupted process finally sends itself the signal again. The first process
of a container cannot die in this way, and no process of Windows can. They exit with 128 + signal
instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from mlp_cli.runs.interruption import SIGNALS

# Ends a program that writes to a pipe without a reader. Windows does not have it; 13 is its number.
SIGPIPE: int = getattr(signal, "SIGPIPE", 13)


class Interrupted(BaseException):
    """A signal has asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """Context manager in whose block a signal raises `Interrupted`.

    Within `deferred`, the first signal only sets a flag. After the block, a signal ends the process
    at once.
    """

    def __init__(self) -> None:
        self._deferring = self._immediate = False
        self._seen: int | None = None

    def __enter__(self) -> Signals:
        for number in SIGNALS:
            if (
                signal.getsignal(number) is not signal.SIG_IGN
            ):  # else the parent process wants it ignored
                signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        if self._seen is not None and kind is None:  # an error is reported instead
            raise Interrupted(self._seen)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._immediate:
            die_by(number)
        first, self._seen = self._seen is None, number
        if not (self._deferring and first):
            raise Interrupted(number)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """Let a signal end the process at once during the block, in which nothing is to be saved.

        An exception would not do: a library that compiles may catch it. And Python would raise it
        only when the library returns, so the default action of the system is restored. Process 1
        has no default action; there, the handler ends the process.
        """
        self._immediate = True
        handled = [number for number in SIGNALS if signal.getsignal(number) == self._handle]
        if os.getpid() != 1:
            for number in handled:
                signal.signal(number, signal.SIG_DFL)
        try:
            yield
        finally:
            self._immediate = False
            for number in handled:
                signal.signal(number, self._handle)

    @property
    def pending(self) -> bool:
        """Whether there was a signal, so that whoever deferred it should stop.

        This is also true if `Interrupted` was raised and a library caught it, for example in a bare
        `except`.
        """
        return self._seen is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer a signal to the end of the block, and raise `Interrupted` there.

        A second signal is not deferred: it raises at once.
        """
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._seen is not None:
            raise Interrupted(self._seen)


def die_by(number: int) -> NoReturn:
    """End this process by the signal, as if it had no handler.

    The default of a signal does nothing to the first process of a container (PID 1). Such a process
    exits with 128 + `number`, the exit code that a shell gives to a death by the signal. The output
    streams are not flushed: everything that is printed is flushed at once, and another flush could
    wait for a reader forever.
    """
    if hasattr(signal, "pthread_sigmask"):  # Windows does not have it
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        signal.raise_signal(number)  # unlike os.kill, it does not return before the signal arrives
    os._exit(128 + number)
