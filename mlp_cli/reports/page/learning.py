"""What a page says about how a network was trained: its learning curves, or how it diverged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlp_cli.reports.page.pictures import Curve, draw_curves
from mlp_cli.reports.tables import Column
from mlp_cli.training.divergence import STEPS, ExaminedStep

MOST_LAYERS = 100  # whose norms are shown


class Learning(NamedTuple):
    """The charts of loss, error and learning rate, and the last epoch in words."""

    loss: str
    error: str
    rate: str
    words: str


def learning(records: Sequence[Mapping[str, Any]]) -> Learning:
    """Return what the records of at least one epoch say."""
    epochs = [record["epoch"] for record in records]
    losses = [Curve("training", "first", epochs, [record["train_loss"] for record in records])]
    errors = [Curve("training", "first", epochs, [_error(r["train_accuracy"]) for r in records])]
    validated = [record for record in records if record["val_accuracy"] is not None]
    best, words = None, ""
    if validated:
        at = [record["epoch"] for record in validated]
        found = [_error(record["val_accuracy"]) for record in validated]
        losses.append(
            Curve("validation", "second", at, [record["val_loss"] or 0 for record in validated])
        )
        errors.append(Curve("validation", "second", at, found))
        best = at[found.index(min(found))], min(found)
        words = f"The lowest validation error is {best[1]:.2f} %, after epoch {best[0]:,}."
    rates = [Curve("", "ink", epochs, [record["learning_rate"] for record in records])]
    return Learning(
        draw_curves("loss", "Loss by epoch", losses),
        draw_curves("error", f"Error in percent by epoch. {words}", errors, mark=best),
        draw_curves("rate", "Learning rate by epoch", rates, linear=True),
        words,
    )


def diverged_steps(steps: Sequence[ExaminedStep]) -> list[Column]:
    """Return the columns of a table of the last steps of a training that diverged, if any."""
    steps = steps[-STEPS:]
    if not steps:
        return []
    return [
        Column("step", [f"{step.step:,}" for step in steps]),
        Column("epoch", [f"{step.epoch:,}" for step in steps]),
        Column("learning rate", [f"{step.learning_rate:.4g}" for step in steps]),
        Column("loss", [_finite(step.loss) for step in steps]),
        Column("‖W‖ by layer", [_norms(step.weight_norms) for step in steps]),
        Column("‖ΔW‖ by layer", [_norms(step.gradient_norms) for step in steps]),
    ]


def _error(accuracy: float) -> float:
    return 100 * (1 - accuracy)


def _norms(norms: Sequence[float | None]) -> str:
    return " ".join(map(_finite, norms[:MOST_LAYERS]))


def _finite(number: float | None) -> str:
    return "∞" if number is None else f"{number:.3g}"
