"""Threads that compute one thing together, each its own part.

NumPy lets go of the interpreter inside its calls, so plain threads fill the cores. The products are
split by hand and BLAS is held to one thread: a pool of BLAS's own waits for its slowest member by
spinning, and where another program takes a core for a while, the threads that wait keep that member
from the cores that are left. Members of a team wait asleep, and lose only the core that is taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from mlp_cli.errors import ConfigError

Work = Callable[[int], object]


class _AbandonedError(Exception):
    """Another member failed, so nobody will come to the meeting."""


class ThreadTeam:
    """`size` threads, the caller's own among them; the others sleep until there is work.

    They end with the process. Wherever the members meet, each has seen all that the others wrote
    before.

    Attributes
    ----------
    size
        How many members there are: `work` and `meet` know them as 0 to size − 1.

    Raises
    ------
    ConfigError
        If the system does not give so many threads.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._members = range(size)
        # One letter box for each pair: what one puts in twice is never taken for two members.
        self._boxes = [[SimpleQueue[bool]() for _ in self._members] for _ in self._members]
        self._work = [SimpleQueue[Work]() for _ in self._members]
        self._done = SimpleQueue[BaseException | None]()
        for me in self._members[1:]:
            try:
                threading.Thread(target=self._serve, args=(me,), daemon=True).start()
            except RuntimeError as error:
                raise ConfigError(
                    f"{size} threads: {error}. Give fewer, by --threads or OMP_NUM_THREADS."
                ) from error

    def run(self, work: Work) -> None:
        """Call `work(me)` in each member, and return when all have returned.

        Raises
        ------
        BaseException
            What a member raised; the team is then of no more use.
        """
        if self.size == 1:
            work(0)
            return
        for me in self._members[1:]:
            self._work[me].put(work)
        self._call(work, 0)
        errors = [error for _ in self._members if (error := self._done.get()) is not None]
        # What made the others give up, not that they did.
        for error in sorted(errors, key=lambda error: isinstance(error, _AbandonedError)):
            raise error

    def meet(self, me: int) -> None:
        """Wait in `work` until every member has come here as often."""
        if self.size == 1:
            return
        mine = self._boxes[me]
        for other in self._members:
            if other != me:
                self._boxes[other][me].put(True)
        for other in self._members:
            if other != me and not mine[other].get():
                raise _AbandonedError

    def _serve(self, me: int) -> None:
        while True:
            self._call(self._work[me].get(), me)

    def _call(self, work: Work, me: int) -> None:
        error = None
        try:
            work(me)
        except BaseException as raised:
            error = raised
            for other in self._members:
                self._boxes[other][me].put(False)
        self._done.put(error)
