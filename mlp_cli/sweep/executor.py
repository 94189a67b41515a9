"""What trains the runs of a sweep: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from mlp_cli.sweep.plan import Claimed
from mlp_cli.sweep.trials import Job

# The code of a process that SIGKILL ended; not every system has this signal, or tells.
KILLED = -9


class Ended(NamedTuple):
    """A training that has ended: its run, its exit code, and what went wrong.

    The code is below 0 if a signal killed the process. It is 0 if the run is finished, was pruned
    or was stopped; the run's folder tells which.
    """

    job: Job
    code: int
    message: str


Settle = Callable[[Ended], object]


class Executor(Protocol):
    """Trains runs, several at once."""

    @property
    def jobs(self) -> list[Job]:
        """The runs that are being trained."""

    @property
    def free(self) -> int:
        """How many more runs may start."""

    def start(self, claimed: Claimed) -> None:
        """Start to train a run. Its lock is closed when it has ended, and `settle` was called."""

    def wait(self, seconds: float, settle: Settle) -> None:
        """Wait until a run ends, but not longer than this.

        `settle` is called for each that has ended, while its lock is still held.
        """

    def stop(self, settle: Settle) -> None:
        """Let all trainings end; what was saved of them stays."""
