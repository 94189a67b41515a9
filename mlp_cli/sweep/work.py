"""One run of a sweep, trained in a process of its own."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from mlp_cli.compute.select import EngineChoice
from mlp_cli.data.dataset import Source
from mlp_cli.errors import ConfigError, DivergedError, MlpError
from mlp_cli.runs.interruption import SIGNALS, Interruption
from mlp_cli.runs.train import RunOptions, train_run
from mlp_cli.sweep.history import History
from mlp_cli.sweep.plan import Claimed
from mlp_cli.sweep.pruning import should_prune
from mlp_cli.sweep.trials import Job, first_seed, trial_config
from mlp_cli.training.metrics import EpochMetrics
from mlp_cli.training.observer import SilentObserver

LONGEST_REPORT = 4000  # characters, so that it fits into a pipe


@dataclass(frozen=True)
class Workshop:
    """What all runs of a sweep share: its folders, the images, and who computes."""

    history: History
    source: Source
    engine: EngineChoice
    data_dir: Path


def run_job(shop: Workshop, interruption: Interruption, claimed: Claimed) -> tuple[int, str]:
    """Train a run of a sweep or continue it; return the exit code, and what went wrong.

    Parameters
    ----------
    shop, claimed
        What is shared, and the run.
    interruption
        Says whether to save and stop.
    """
    return _outcome(partial(_train_job, shop, claimed, interruption))


def _train_job(shop: Workshop, claimed: Claimed, interruption: Interruption) -> None:
    job, values, lock = claimed
    judge = _Judge(shop.history, job)
    options = RunOptions(
        data_dir=shop.data_dir,
        mirrors=(),
        out=shop.history.folder.run(job),
        mode="resume",
        config_name="trial",
        engine=shop.engine,
        source=shop.source,
        lock=lock,
    )
    config = trial_config(shop.history.sweep, values, job.seed)
    train_run(config, options, judge, _Stop(interruption, judge))


def is_judged(history: History, job: Job) -> bool:
    """Return whether a run may end its trial early: the first seed's, if the sweep has a rule."""
    is_first = job.seed == first_seed(history.sweep) and not job.confirms
    return is_first and history.sweep.prune.rule != "none"


def prune(history: History, number: int, epoch: int) -> bool:
    """Look at the curves after an epoch, and return whether the trial ends.

    If so, that is noted in the trial's folder. The run must be locked.
    """
    others = [history.curve(other) for other in history.started() if other != number]
    curve = history.curve(number)
    if not should_prune(history.sweep.prune, curve, others):
        return False
    found = {"epoch": epoch, "value": min(curve)}
    history.folder.write_json(history.folder.pruned(number), found)
    return True


class _Judge(SilentObserver):
    """Ends a trial early if the sweep's rule says so."""

    def __init__(self, history: History, job: Job) -> None:
        self._history, self._number = history, job.trial
        self._judges = is_judged(history, job)
        self.pruned = False

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Look at the curves."""
        if self._judges and metrics.epoch < epochs:
            self.pruned = prune(self._history, self._number, metrics.epoch)


class _Stop:
    """Stops a training that is pruned, that gets a signal, or whose sweep has ended.

    It replaces the signal handlers of the process, and so belongs into a process of its own.

    Parameters
    ----------
    interruption
        That of the sweep: a signal may have come before the handlers were replaced.
    judge
        Says whether the training is pruned.
    """

    def __init__(self, interruption: Interruption, judge: _Judge) -> None:
        self._interruption, self._judge, self._parent = interruption, judge, os.getppid()
        self._signalled = False
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True

    @property
    def pending(self) -> bool:
        """Whether the training should save itself and end."""
        is_orphan = os.getppid() != self._parent
        asked = self._signalled or self._interruption.pending
        return asked or self._judge.pruned or is_orphan

    def deferred(self) -> AbstractContextManager[None]:
        """Do nothing: signals only set a flag."""
        return nullcontext()

    def immediate(self) -> AbstractContextManager[None]:
        """Do nothing: what takes long was done before the process began."""
        return nullcontext()


def _outcome(train: Callable[[], None]) -> tuple[int, str]:
    """Train, and return the exit code and what went wrong."""
    try:
        train()
        return 0, ""
    except DivergedError as error:
        return error.exit_code, ""
    except MlpError as error:
        message, code = str(error), error.exit_code
    except MemoryError:
        message, code = "not enough memory. Choose smaller values.", ConfigError.exit_code
    except Exception as error:
        traceback.print_exc()
        message, code = f"a defect of the program: {type(error).__name__}: {error}", 1
    return code, message[:LONGEST_REPORT]
