"""Processes that train the runs of a sweep, forked from one that has loaded everything.

A fork has the libraries, the compiled kernels and the images of its parent, so a run starts within
milliseconds. The parent must have no other thread: a lock that such a thread holds would stay
locked in the fork for ever.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mlp_cli.storage.strict_json import from_json, to_json
from mlp_cli.sweep.executor import Ended, Settle
from mlp_cli.sweep.plan import Claimed
from mlp_cli.sweep.trials import Job

# Whether a fork is safe. On macOS, the system's libraries may have started threads.
CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"

# Trains a run, and returns the exit code and what went wrong.
Train = Callable[[Claimed], tuple[int, str]]


@dataclass(frozen=True)
class _Process:
    job: Job
    pid: int
    report: int
    lock: int


class Processes:
    """At most `size` processes, each of which calls `train` for one run."""

    def __init__(self, size: int, train: Train) -> None:
        self.size, self._train = size, train
        self._running: dict[int, _Process] = {}  # by the descriptor of its report

    @property
    def jobs(self) -> list[Job]:
        """The runs that are being trained."""
        return [process.job for process in self._running.values()]

    @property
    def free(self) -> int:
        """How many more processes may start."""
        return self.size - len(self._running)

    def start(self, claimed: Claimed) -> None:
        """Start a process that trains a run."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what waits there would be written twice
        report, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for other in self._running.values():
                    os.close(other.report)
                    os.close(other.lock)
                os.close(report)
                if os.getppid() == parent:
                    code, message = self._train(claimed)
                    if message:
                        os.write(writing, to_json(message).encode())
            finally:
                os._exit(code)
        os.close(writing)
        self._running[report] = _Process(claimed.job, pid, report, claimed.lock)

    def wait(self, seconds: float, settle: Settle) -> None:
        """Wait until a process ends, but not longer than this.

        `settle` is called for each that has ended, while the lock of its run is still held.
        """
        poll = select.poll()
        for report in self._running:
            poll.register(report, select.POLLIN | select.POLLHUP)
        for report, _ in poll.poll(1000 * seconds):
            process = self._running[report]
            content = b""
            while chunk := os.read(report, 65536):  # to the end, which is that of the process
                content += chunk
            _, status = os.waitpid(process.pid, 0)
            try:
                code = os.waitstatus_to_exitcode(status)
                message = str(from_json(content)) if content else ""
                if code < 0:
                    message = _describe_signal(code)
                settle(Ended(process.job, code, message))
            finally:
                del self._running[report]
                os.close(report)
                os.close(process.lock)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def stop(self, settle: Settle) -> None:
        """Let all trainings save themselves and end."""
        self.signal(signal.SIGTERM)
        while self._running:
            self.wait(60.0, settle)


def _describe_signal(code: int) -> str:
    """Return how a process with this exit code below 0 was ended."""
    number = signal.Signals(-code)
    hint = ", as the system does if memory runs out" if number == signal.SIGKILL else ""
    return f"its process was ended by {number.name}{hint}"
