"""The workers of a Dask cluster train the runs of a sweep; this process keeps their folders.

A run is sent in slices: a task gets the files of the run, trains for a while, and returns the files
that it has changed. Between two slices the files are in the run's folder, so there is no other
state. A worker that dies costs at most a slice. If the scheduler or this process dies, the same
command continues.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from mlp_cli.config.schema import Config
from mlp_cli.storage.files import atomic_write, exists, storage_errors
from mlp_cli.sweep.cluster_client import connected, lost, threads_of_workers
from mlp_cli.sweep.cluster_task import FILES, Slice, SliceResult, train_slice
from mlp_cli.sweep.executor import KILLED, Ended, Settle
from mlp_cli.sweep.plan import Claimed
from mlp_cli.sweep.trials import Job, trial_config
from mlp_cli.sweep.work import Workshop, is_judged, prune

WRITERS = 8  # threads
LOOK_SECONDS = 2.0  # between two looks at the workers
SLICE_SECONDS = 5.0  # of training in a slice, or more if the files are large:
BYTES_PER_SECOND = 500_000


@dataclass(frozen=True)
class _Run:
    claimed: Claimed
    config: Config
    task: Any  # Dask drops the task if nobody holds this


class Cluster:
    """Trains runs on the workers of a Dask cluster, one in each of their threads.

    Parameters
    ----------
    client
        A `distributed.Client`.
    shop
        What all runs share.
    size
        The most runs to train at once.
    warn
        Is told if there is no worker.
    """

    def __init__(
        self, client: Any, shop: Workshop, size: int, warn: Callable[[str], object]
    ) -> None:
        self._client, self._shop, self._size, self._warn = client, shop, size, warn
        self._folder = shop.history.folder
        data = self._folder.read_json(self._folder.data)
        self._digests = data["digests"] if data is not None else {}
        self._running: dict[Future[SliceResult], _Run] = {}
        # Several, because each file waits for the disk.
        self._writers = ThreadPoolExecutor(WRITERS)
        self._threads: dict[str, int] = {}  # of each worker
        self._next_look, self._has_warned = 0.0, False
        self._stopping = False

    @property
    def jobs(self) -> list[Job]:
        """The runs that are being trained."""
        return [run.claimed.job for run in self._running.values()]

    @property
    def free(self) -> int:
        """How many more runs may start. Workers may come and go."""
        each = self._shop.engine.threads
        places = sum(max(1, number // each) for number in self._threads.values())
        return max(0, min(places, self._size) - len(self._running))

    def start(self, claimed: Claimed) -> None:
        """Send the first slice of a run."""
        config = trial_config(self._shop.history.sweep, claimed.values, claimed.job.seed)
        self._send(claimed, config)

    def wait(self, seconds: float, settle: Settle) -> None:
        """Wait until a slice returns, but not longer than this; settle its run, or send the next.

        Raises
        ------
        ClusterError
            If the connection to the scheduler is lost.
        MlpError
            If a worker cannot train any run; the message names it.
        """
        self._look()
        if not self._running:
            time.sleep(seconds)
        self._receive(seconds, settle)

    def stop(self, settle: Settle) -> None:
        """Keep what has come back, and cancel all tasks."""
        self._stopping = True
        try:
            self._receive(0, settle)
        finally:
            with suppress(Exception):  # the scheduler may be gone, and it is only told for its sake
                self._client.cancel([run.task for run in self._running.values()])
            for run in self._running.values():
                settle(Ended(run.claimed.job, 0, ""))
                os.close(run.claimed.lock)
            self._running.clear()
            self._writers.shutdown()

    def _look(self) -> None:
        """Look whether the scheduler is there, and how many threads its workers have."""
        if time.monotonic() < self._next_look and self._client.status == "running":
            return
        self._threads = threads_of_workers(self._client, self._threads)
        self._next_look = time.monotonic() + LOOK_SECONDS
        if not self._threads and not self._has_warned:
            address = self._client.scheduler.address
            self._warn(
                f"There are no workers, and the sweep waits. Start some: dask worker {address}"
            )
            self._has_warned = True

    def _send(self, claimed: Claimed, config: Config) -> None:
        """Send the next slice of a run: as long as its files are worth."""
        folder, files = self._folder.run(claimed.job), {}
        for name in FILES:
            with storage_errors("read", folder / name):
                if exists(folder / name):
                    files[name] = (folder / name).read_bytes()
        size = sum(map(len, files.values()))
        task = self._client.submit(
            train_slice,
            Slice(
                run=str(folder),
                config=config.to_dict(),
                files=files,
                seconds=max(SLICE_SECONDS, size / BYTES_PER_SECOND),
                one_epoch=is_judged(self._shop.history, claimed.job),
                engine=self._shop.engine,
                digests=self._digests,
            ),
            pure=False,
        )
        loop = self._client.loop.asyncio_loop
        answer = asyncio.run_coroutine_threadsafe(self._result(task), loop)
        self._running[answer] = _Run(claimed, config, task)

    async def _result(self, task: Any) -> SliceResult:
        result: SliceResult = await self._client.gather(task, asynchronous=True)
        return result

    def _receive(self, seconds: float, settle: Settle) -> None:
        """Wait until a slice returns; keep its files, and settle its run or send the next slice."""
        answers, _ = wait(self._running, seconds, "FIRST_COMPLETED")
        kept = [
            (answer, self._writers.submit(self._keep, self._running[answer], answer))
            for answer in answers
        ]
        for answer, written in kept:
            self._go_on(answer, written, settle)

    def _go_on(self, answer: Future[SliceResult], written: Future[None], settle: Settle) -> None:
        """Settle a run if its slice was the last, or send the next."""
        run, goes_on = self._running.pop(answer), False
        try:
            ended = self._end(run, answer, written)
            if ended is not None:
                settle(ended)
            else:
                self._send(run.claimed, run.config)
                goes_on = True
        finally:
            if not goes_on:
                os.close(run.claimed.lock)

    def _keep(self, run: _Run, answer: Future[SliceResult]) -> None:
        """Write the files of a slice."""
        folder = self._folder.run(run.claimed.job)
        for name, content in answer.result().files.items():
            if content is not None:
                atomic_write(folder / name, content)
            else:
                with storage_errors("remove", folder / name):
                    (folder / name).unlink(missing_ok=True)

    def _end(self, run: _Run, answer: Future[SliceResult], written: Future[None]) -> Ended | None:
        """Return how a run has ended, None if it goes on."""
        from distributed import KilledWorker

        job, history = run.claimed.job, self._shop.history
        try:
            result = answer.result()
        except (CancelledError, asyncio.CancelledError) as error:
            if self._stopping:
                return Ended(job, 0, "")
            raise lost(self._client) from error
        except KilledWorker as error:
            deaths = f"{error.allowed_failures + 1} in a row"
            text = f"the workers that trained it died ({deaths}), as they do if memory runs out"
            return Ended(job, KILLED, text)
        except Exception as error:
            return Ended(job, 1, f"a defect of the program: {type(error).__name__}: {error}")
        written.result()
        if result.unfit and result.error is not None and not self._stopping:
            raise type(result.error)(f"{result.worker}: {result.error}")
        if result.error is not None and not result.unfit:
            return Ended(job, result.error.exit_code, f"{result.error} ({result.worker})")
        if self._stopping or history.run(job).state != "open":
            return Ended(job, 0, "")
        epoch_ended = "metrics.jsonl" in result.files
        if epoch_ended and is_judged(history, job):
            pruned = prune(history, job.trial, len(history.curve(job.trial)))
            return Ended(job, 0, "") if pruned else None
        return None


@contextmanager
def cluster(
    shop: Workshop, given: str, size: int, warn: Callable[[str], object]
) -> Iterator[Cluster]:
    """Connect to a Dask cluster for the time of the block.

    Parameters
    ----------
    shop
        What all runs share.
    given
        The address of the scheduler, or its scheduler file.
    size
        The most runs to train at once.
    warn
        Is told if there is no worker.

    Raises
    ------
    ConfigError, ClusterError
        As `connected`.
    """
    with connected(given) as client:
        yield Cluster(client, shop, size, warn)
