"""Threads that compute one thing together, each its own share.

NumPy releases the interpreter lock inside its calls, so plain threads fill the cores. The products
are split by hand, and BLAS is held to one thread. A thread pool of BLAS's own waits for its slowest
thread by spinning. If another program takes a core for a while, the spinning threads keep the slow
one from the cores that are left. The workers of a team wait asleep, and lose only the core that was
taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from mlp_cli.errors import ConfigError, reason

Task = Callable[[int], object]


class _AbandonedError(Exception):
    """Another worker failed, so it will not come to the barrier."""


class ThreadTeam:
    """`size` workers: the caller's thread, and others that sleep until there is a task.

    The threads end with the process, or when the team is closed. After a barrier, each worker sees
    all that the others wrote before it.

    Attributes
    ----------
    size
        The number of workers. `run` and `barrier` number them from 0 to size − 1.

    Raises
    ------
    ConfigError
        If the system does not give so many threads.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._workers = range(size)
        # One letter box for each pair: two messages of one worker never count for two workers.
        self._boxes = [[SimpleQueue[bool]() for _ in self._workers] for _ in self._workers]
        self._tasks = [SimpleQueue[Task | None]() for _ in self._workers]
        self._done = SimpleQueue[BaseException | None]()
        for worker in self._workers[1:]:
            try:
                threading.Thread(target=self._serve, args=(worker,), daemon=True).start()
            except RuntimeError as error:
                raise ConfigError(
                    f"{size} threads: {reason(error)}. Give fewer, by --threads or OMP_NUM_THREADS."
                ) from error

    def run(self, task: Task) -> None:
        """Call `task(worker)` in each worker, and return when all have returned.

        Raises
        ------
        BaseException
            What a worker raised. The team cannot be used after that.
        """
        if self.size == 1:
            task(0)
            return
        for worker in self._workers[1:]:
            self._tasks[worker].put(task)
        self._call(task, 0)
        errors = [error for _ in self._workers if (error := self._done.get()) is not None]
        # First what made the others give up, then that they gave up.
        for error in sorted(errors, key=lambda error: isinstance(error, _AbandonedError)):
            raise error

    def close(self) -> None:
        """End the threads. The team cannot be used after that."""
        for tasks in self._tasks[1:]:
            tasks.put(None)

    def barrier(self, worker: int) -> None:
        """Wait, within a task, until every worker has come here equally often."""
        if self.size == 1:
            return
        own = self._boxes[worker]
        for other in self._workers:
            if other != worker:
                self._boxes[other][worker].put(True)
        for other in self._workers:
            if other != worker and not own[other].get():
                raise _AbandonedError

    def _serve(self, worker: int) -> None:
        while (task := self._tasks[worker].get()) is not None:
            self._call(task, worker)

    def _call(self, task: Task, worker: int) -> None:
        error = None
        try:
            task(worker)
        except BaseException as raised:
            error = raised
            for other in self._workers:
                self._boxes[other][worker].put(False)
        self._done.put(error)
