"""Processes that train the runs of a sweep, each started anew, for systems without a safe fork.

A process loads the libraries and gets the images from the sweep's own process, so a run starts
within a second or two.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import warnings
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from mlp_cli.errors import StorageWarning
from mlp_cli.storage.locks import open_lockable
from mlp_cli.sweep.executor import KILLED, Ended, Settle
from mlp_cli.sweep.plan import Claimed
from mlp_cli.sweep.trials import Job
from mlp_cli.sweep.work import Workshop, run_job

MOST = 60  # processes; Windows waits for at most 63 pipes at once


@dataclass(frozen=True)
class _Process:
    claimed: Claimed
    process: Any
    stop: Any  # the end of a pipe; a message, or the end of this process, asks to stop


class SpawnedProcesses:
    """At most `size` processes, each of which trains one run.

    Parameters
    ----------
    size
        The most processes to run at once; no more than `MOST` are.
    shop
        What all runs share.
    """

    def __init__(self, size: int, shop: Workshop) -> None:
        self.size, self._shop = min(size, MOST), shop
        self._running: dict[Any, _Process] = {}  # by the pipe for its report

    @property
    def jobs(self) -> list[Job]:
        """The runs that are being trained."""
        return [process.claimed.job for process in self._running.values()]

    @property
    def free(self) -> int:
        """How many more processes may start."""
        return self.size - len(self._running)

    def start(self, claimed: Claimed) -> None:
        """Start a process that trains a run."""
        spawning = multiprocessing.get_context("spawn")
        report, reporting = spawning.Pipe(duplex=False)
        stopping, stop = spawning.Pipe(duplex=False)
        process = spawning.Process(
            target=_train, args=(self._shop, claimed, reporting, stopping), daemon=True
        )
        process.start()
        reporting.close()  # so that the pipe ends with the process
        stopping.close()
        self._running[report] = _Process(claimed, process, stop)

    def wait(self, seconds: float, settle: Settle) -> None:
        """Wait until a process ends, but not longer than this.

        `settle` is called for each that has ended, while the lock of its run is still held.
        """
        if not self._running:  # Windows cannot wait for nothing
            time.sleep(seconds)
            return
        ready: list[Any] = wait(list(self._running), seconds)
        for report in ready:
            process = self._running[report]
            try:
                code, message = report.recv()
            except (EOFError, OSError):
                code, message = KILLED, "its process ended without a report"
            process.process.join()
            try:
                settle(Ended(process.claimed.job, code, message))
            finally:
                del self._running[report]
                report.close()
                process.stop.close()
                os.close(process.claimed.lock)

    def stop(self, settle: Settle) -> None:
        """Let all trainings save themselves and end."""
        for process in self._running.values():
            with suppress(OSError):  # it has just ended
                process.stop.send_bytes(b"stop")
        while self._running:
            self.wait(60.0, settle)


class _Asked:
    """Says whether the sweep has asked this process to stop, or has ended itself."""

    def __init__(self, stopping: Any) -> None:
        self.pending = False
        threading.Thread(target=self._listen, args=(stopping,), daemon=True).start()

    def _listen(self, stopping: Any) -> None:
        with suppress(EOFError, OSError):  # the sweep's process has ended
            stopping.recv_bytes()
        self.pending = True

    def deferred(self) -> AbstractContextManager[None]:
        """Do nothing: `pending` tells of it."""
        return nullcontext()

    def immediate(self) -> AbstractContextManager[None]:
        """Do nothing: `pending` tells of it."""
        return nullcontext()


def _train(shop: Workshop, claimed: Claimed, reporting: Any, stopping: Any) -> None:
    """Train a run in the new process, and report its exit code and what went wrong."""
    warnings.simplefilter("ignore", StorageWarning)  # the sweep's own process has shown them
    folder = open_lockable(shop.history.folder.run(claimed.job))  # locked by the sweep's process
    reporting.send(run_job(shop, _Asked(stopping), claimed._replace(lock=folder)))
