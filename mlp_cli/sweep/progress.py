"""What the user sees of a sweep: a bar on a terminal, one line for each run elsewhere."""

from __future__ import annotations

import math
from collections import Counter

from mlp_cli.config.lines import changes
from mlp_cli.runs.progress import TRAINING, ProgressObserver, bar_type
from mlp_cli.sweep.definition import Sweep
from mlp_cli.sweep.history import RunState
from mlp_cli.sweep.outcome import shown_value
from mlp_cli.sweep.space import Values
from mlp_cli.sweep.trials import Job

LAYOUT = "{desc} {n_fmt}/{total_fmt} |{bar}| {remaining} left{postfix}"


class SweepProgress(ProgressObserver):
    """Shows the runs of a sweep, besides what a training shows.

    Parameters
    ----------
    quiet
        Show warnings and failures only.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._counts: Counter[str] = Counter()
        self._best = math.inf
        self._minimise, self._seeds = "", 1

    def begin(self, total: int, done: int, sweep: Sweep) -> None:
        """Begin to show a sweep of so many runs, of which some are done."""
        self._minimise, self._seeds = sweep.minimise, sweep.seeds
        bar_type().monitor_interval = 0  # its thread would be forked too
        self._bar_for(TRAINING, total, initial=done, desc="runs", bar_format=LAYOUT)

    def running(self, number: int) -> None:
        """Show how many runs this process trains."""
        self._counts["running"] = number
        self._show()

    def ended(self, job: Job, values: Values, state: RunState, message: str) -> None:
        """Show that a run has ended, and why if it failed."""
        self._counts[state.state] += 1
        several = job.confirms or self._seeds > 1
        name = f"trial {job.trial}" + (f", seed {job.seed}" if several else "")
        settings = ", ".join(changes(values))
        if state.state == "finished" and state.value is not None:
            told = shown_value(state.value, self._minimise)
            if not job.confirms:
                self._best = min(self._best, state.value)
        else:
            told = state.state
        if state.state == "failed":
            self.warn(f"{name} failed: {message} ({settings})")
        elif self._bar is None:
            self.log(f"{name}: {told} ({settings}), {state.seconds:.1f} s")
        if self._bar is not None:
            self._bar.update(1)
        self._show()

    def _show(self) -> None:
        if self._bar is None:
            return
        parts = [
            f"{self._counts[kind]} {kind}"
            for kind in ("running", "diverged", "pruned", "failed")
            if self._counts[kind]
        ]
        if self._best < math.inf:
            parts.append(f"best {shown_value(self._best, self._minimise, name=False)}")
        self._bar.set_postfix_str(", ".join(parts))
