"""Which run of a sweep is next: read from the folders, and claimed by their locks."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

from mlp_cli.storage.files import exists, storage_errors
from mlp_cli.storage.folders import make_folder
from mlp_cli.sweep.history import History
from mlp_cli.sweep.search import Searcher
from mlp_cli.sweep.space import Values
from mlp_cli.sweep.trials import Job, fresh_seeds


class Claimed(NamedTuple):
    """A run to train: its values, and a descriptor that holds the lock of its folder."""

    job: Job
    values: Values
    lock: int


class Plan:
    """Finds what is left of a sweep.

    Attributes
    ----------
    known
        The number of trials whose values are known.
    """

    def __init__(self, history: History, searcher: Searcher) -> None:
        self._history, self._searcher = history, searcher
        self.known = 0
        self._open: dict[int, None] = {}  # trials that are not settled, in order
        if not searcher.asks:
            self._add(history.sweep.trials)

    def next(self, running: Collection[Job]) -> Claimed | None:
        """Claim a run that nobody trains; None if there is none now.

        Parameters
        ----------
        running
            The runs that this process trains already.

        Raises
        ------
        StorageError
            If a file or folder of the sweep cannot be read or made.
        """
        while True:
            for job in self._left():
                if job not in running and (claimed := self._claim(job)):
                    return claimed
            if not self._ask():
                break
        if self.trials_are_settled():
            for job in self.confirming():
                if job not in running and (claimed := self._claim(job)):
                    return claimed
        return None

    def trials_are_settled(self) -> bool:
        """Whether nothing is left but runs that confirm the best trials."""
        out_of_time = self._out_of_time()
        for job in self._left():
            if not out_of_time or exists(self._history.folder.run(job)):
                return False
        return out_of_time or self.known == self._history.sweep.trials

    def confirming(self) -> list[Job]:
        """Return all runs that confirm the best trials, which have to be settled."""
        sweep = self._history.sweep
        best = self._history.ranked(range(self.known))[: sweep.confirm.top]
        return [Job(number, seed, True) for number in best for seed in fresh_seeds(sweep)]

    def count_done(self) -> int:
        """Return the number of runs that are done, without those that confirm a trial."""
        done = 0
        for number in range(self.known):
            states = self._history.trial(number).runs
            done += sum(state.state != "open" for state in states)
        return done

    def is_finished(self) -> bool:
        """Whether no run is left."""
        return self.trials_are_settled() and all(
            self._history.run(job).state != "open" for job in self.confirming()
        )

    def _add(self, number: int) -> None:
        """Add the trials below this number."""
        self._open |= dict.fromkeys(range(self.known, number))
        self.known = max(self.known, number)

    def _left(self) -> Iterator[Job]:
        """Yield the runs that are left of the trials whose values are known."""
        settled = []
        try:
            for number in self._open:
                jobs = self._history.missing(number)
                if not jobs:
                    settled.append(number)
                yield from jobs
        finally:
            for number in settled:
                del self._open[number]

    def _claim(self, job: Job) -> Claimed | None:
        folder = self._history.folder
        if self._history.run(job).state != "open":
            return None
        if not job.confirms and not exists(folder.run(job)) and self._out_of_time():
            return None
        lock = folder.claim(job)
        if lock is None:
            return None
        if self._history.run(job).state != "open":  # another process has just finished it
            os.close(lock)
            return None
        return Claimed(job, self._searcher.values(job.trial), lock)

    def _ask(self) -> bool:
        """Make the next trial, or find those that other processes have made; False if none."""
        sweep, folder = self._history.sweep, self._history.folder
        if self.known == sweep.trials or not self._searcher.asks:
            return False
        with folder.locked():
            number = self.known
            while number < sweep.trials and exists(folder.values(number)):
                number += 1
            if number == self.known:
                if self._out_of_time():
                    return False
                values = self._searcher.ask(number)
                with storage_errors("make", folder.trial(number)):
                    make_folder(folder.trial(number))
                folder.write_json(folder.values(number), values)
                number += 1
        self._add(number)
        return True

    def _out_of_time(self) -> bool:
        """Whether the runs have trained for as long as the sweep allows."""
        limit = self._history.sweep.time_limit
        return limit is not None and self._history.seconds >= limit
