"""Which trials end early, by the curve of their first run.

The median rule is that of Golovin et al. (2017, section 3.2.1) with the median of the values at
the same epoch, and the halving rule that of Li et al. (2020), "A System for Massively Parallel
Hyperparameter Tuning", algorithm 2, without brackets. Both look only at what is there when an epoch
ends, so with several processes the outcome depends on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from mlp_cli.sweep.definition import Pruning


def should_prune(rule: Pruning, curve: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Return whether a trial should end now.

    Parameters
    ----------
    rule
        The rule and its settings.
    curve
        What is minimised, after each epoch of the trial.
    others
        The curves of the other trials; some may be shorter.
    """
    epoch = len(curve)
    if rule.rule == "median" and epoch > rule.warmup:
        values = [other[epoch - 1] for other in others if len(other) >= epoch]
        return len(values) >= rule.trials and min(curve) > median(values)
    if rule.rule == "halving" and _is_rung(epoch, rule):
        values = [min(other[:epoch]) for other in others if len(other) >= epoch]
        better = sum(value < min(curve) for value in values)
        return better >= max(1, (len(values) + 1) // rule.factor)
    return False


def _is_rung(epoch: int, rule: Pruning) -> bool:
    rung = rule.first
    while rung < epoch:
        rung *= rule.factor
    return rung == epoch
