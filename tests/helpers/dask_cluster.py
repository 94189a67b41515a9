"""A Dask scheduler and its workers, as processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from helpers.sweeps import ROOT


def _start(module: str, folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Cluster:
    """A scheduler and some workers below `folder`, each of which has a folder of its own."""

    def __init__(self, folder: Path, workers: int = 0) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = str(found.getsockname()[1])
        self.address = f"tcp://127.0.0.1:{self._port}"
        self._folder, self._made = folder, 0
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()
        for _ in range(workers):
            self.start_worker()

    def start_scheduler(self) -> None:
        """Start the scheduler, always at the same address, and wait until it answers."""
        folder = self._folder / "scheduler"
        self.scheduler = _start(
            "dask_scheduler", folder, "--host", "127.0.0.1", "--port", self._port
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", int(self._port))) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError((folder / "log").read_text())

    def start_worker(self, variables: Mapping[str, str] | None = None, *options: str) -> Path:
        """Start a worker with one thread, and return its working folder."""
        self._made += 1
        folder = self._folder / f"worker-{self._made}"
        arguments = [self.address, "--no-nanny", "--nthreads", "1", *options]
        scratch = ["--local-directory", str(folder)]
        self.workers.append(
            _start("dask_worker", folder, *arguments, *scratch, **(variables or {}))
        )
        return folder

    def replace_worker(self) -> None:
        """Kill the oldest worker, and start another."""
        worker = self.workers.pop(0)
        worker.kill()
        worker.wait()
        self.start_worker()

    def stop(self) -> None:
        """Kill all processes."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self.workers.clear()
