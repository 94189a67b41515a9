"""Run a process, and ask the system for its time and memory."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True)
class Finished:
    """A successful process: its output, wall and CPU seconds, and peak memory in MB."""

    output: str
    wall: float
    cpu: float
    peak_memory: float


class ProcessError(Exception):
    """A process failed; the message is the last line of its stderr."""


def run(command: Sequence[str], environment: Mapping[str, str], terminal: bool = False) -> Finished:
    """Run a command to its end; with `terminal`, its stderr is a terminal, so it shows progress.

    Raises
    ------
    ProcessError
        If the command fails.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as said:
        with _terminal() if terminal else _file(said) as stderr:
            started = time.perf_counter()
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=stderr)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            lines = said.read().strip().splitlines() or [f"status {process.returncode}"]
            raise ProcessError(f"{' '.join(command)}: {lines[-1]}")
        output.seek(0)
        unit = 1024**2 if sys.platform == "darwin" else 1024
        cpu = usage.ru_utime + usage.ru_stime
        return Finished(output.read(), wall, cpu, usage.ru_maxrss / unit)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Run so many processes that never rest. They end with the block, or with this process."""
    never_rest = (
        "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
    )
    started = [subprocess.Popen([sys.executable, "-c", never_rest]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def _file(file: IO[str]) -> Iterator[int]:
    yield file.fileno()


@contextmanager
def _terminal() -> Iterator[int]:
    """Yield one end of a terminal; the output is read at the other end and dropped."""
    ours, theirs = pty.openpty()

    def forget() -> None:
        with suppress(OSError):  # Linux reports so that the last writer has closed
            while os.read(ours, 65536):
                pass

    reader = threading.Thread(target=forget)
    reader.start()
    try:
        yield theirs
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
