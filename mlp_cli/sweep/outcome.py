"""What a sweep found: the best trial, and `result.json`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mlp_cli.config.lines import changes
from mlp_cli.errors import visible
from mlp_cli.inference.evaluate import evaluate_checkpoints
from mlp_cli.sweep.folder import SweepFolder
from mlp_cli.sweep.history import History
from mlp_cli.sweep.search import Searcher
from mlp_cli.sweep.trials import Job, trial_seeds


def conclude(
    history: History, searcher: Searcher, confirming: Sequence[Job], trials: int
) -> dict[str, Any]:
    """Return the content of `result.json` for a sweep in which no run is left.

    Parameters
    ----------
    history, searcher
        The sweep's folders, and the values of its trials.
    confirming
        The runs that confirm the best trials.
    trials
        The number of trials whose values are known.
    """
    sweep, folder = history.sweep, history.folder
    states = Counter(history.trial(number).state for number in range(trials))
    ranked = history.ranked(range(trials))
    confirmed = _confirmed(history, confirming)
    best: dict[str, Any] | None = None
    if ranked:
        number = confirmed[0]["trial"] if confirmed else ranked[0]
        jobs = [job for job in confirming if job.trial == number]
        if not confirmed:
            jobs = [Job(number, seed) for seed in trial_seeds(sweep)]
        run = min(jobs, key=lambda job: (history.run(job).value or 0.0, job.seed))
        best = {
            "trial": number,
            "values": searcher.values(number),
            sweep.minimise: history.trial(number).value,
            "run": str(folder.run(run).relative_to(folder.path)),
        }
    return {
        "method": sweep.method,
        "trials": sweep.trials,
        "finished": states["finished"],
        "failed": states["failed"] + sum(history.run(job).state == "failed" for job in confirming),
        "diverged": states["diverged"],
        "pruned": states["pruned"],
        "not_started": sweep.trials - trials + states["open"],
        "best": best,
        "confirmed": confirmed,
    }


def _confirmed(history: History, confirming: Sequence[Job]) -> list[dict[str, Any]]:
    """Return the trials that were confirmed, the best first."""
    found = []
    for number in dict.fromkeys(job.trial for job in confirming):
        states = [history.run(job) for job in confirming if job.trial == number]
        values = [state.value for state in states if state.state == "finished"]
        finished = [value for value in values if value is not None]
        if len(finished) == len(states):
            found.append(
                {
                    "trial": number,
                    "runs": len(finished),
                    history.sweep.minimise: mean(finished),
                    "deviation": stdev(finished) if len(finished) > 1 else None,
                }
            )
    return sorted(found, key=lambda row: (row[history.sweep.minimise], row["trial"]))


def score_winner(
    result: dict[str, Any], folder: SweepFolder, confirming: Sequence[Job], data_dir: Path
) -> dict[str, Any]:
    """Return the result with the scores of the confirmed trial's runs on the test set.

    Raises
    ------
    MlpError
        If a run or the test data are missing or damaged.
    """
    if not result["confirmed"]:
        return result
    winner = result["confirmed"][0]["trial"]
    scored: list[dict[str, Any]] = []
    for job in (job for job in confirming if job.trial == winner):
        path = folder.run(job)
        scores = evaluate_checkpoints([path], "test", data_dir).scores
        scored.append(
            {
                "run": str(path.relative_to(folder.path)),
                "test_accuracy": scores.accuracy,
                "test_errors": scores.errors,
                "test_error_ci95": list(scores.error_ci95),
            }
        )
    accuracy = mean(row["test_accuracy"] for row in scored)
    return {**result, "test": {"test_accuracy": accuracy, "runs": scored}}


def outcome_text(result: dict[str, Any], folder: Path, minimise: str) -> str:
    """Return the result of a sweep as a few lines of text."""
    counts = [
        f"{result[state]} {state.replace('_', ' ')}"
        for state in ("finished", "diverged", "pruned", "failed", "not_started")
        if result[state]
    ]
    lines = {"trials": f"{result['trials']}: {', '.join(counts)}"}
    best = result["best"]
    if best is not None:
        lines["best trial"] = f"{best['trial']}, {shown_value(best[minimise], minimise)}"
        lines["values"] = ", ".join(changes(best["values"]))
    for row in result["confirmed"]:
        spread = row["deviation"]
        deviation = "" if spread is None else f" ± {shown_value(spread, minimise, name=False)}"
        lines[f"confirmed {row['trial']}"] = (
            f"{shown_value(row[minimise], minimise)}{deviation}, {row['runs']} fresh seeds"
        )
    if "test" in result:
        errors = [run["test_errors"] for run in result["test"]["runs"]]
        accuracy = f"{100 * result['test']['test_accuracy']:.2f} %"
        lines["test accuracy"] = f"{accuracy}, mean of {len(errors)} runs"
    lines["table"] = f"mlp compare {shlex.quote(str(folder))}"
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {visible(text)}" for name, text in lines.items())


def shown_value(value: float, minimise: str, *, name: bool = True) -> str:
    """Return what a sweep minimises for people: an error in percent, a loss as a number."""
    text = f"{100 * value:.2f} %" if minimise == "val_error" else f"{value:.4f}"
    return f"{minimise.replace('val_', 'validation ')} {text}" if name else text
