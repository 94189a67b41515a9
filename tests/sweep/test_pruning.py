"""The rules that end trials early, on curves written by hand."""

from __future__ import annotations

import pytest

from mlp_cli.sweep.definition import Pruning
from mlp_cli.sweep.pruning import should_prune

OTHERS = [[0.5, 0.4, 0.3], [0.6, 0.5], [0.7, 0.6, 0.5], [0.8], [0.9, 0.8, 0.7]]


@pytest.mark.parametrize(
    ("curve", "pruned"),
    [
        ([0.9], False),  # within the warm-up
        ([0.9, 0.56], True),  # the median of 0.4, 0.5, 0.6 and 0.8 is 0.55
        ([0.9, 0.55], False),
        ([0.5, 0.9], False),  # its best epoch counts
        ([0.9, 0.9, 0.9], False),  # only three others have come so far
    ],
)
def test_the_median_rule(curve: list[float], pruned: bool) -> None:
    rule = Pruning("median", warmup=1, trials=4)
    assert should_prune(rule, curve, OTHERS) is pruned


@pytest.mark.parametrize(
    ("curve", "pruned"),
    [
        ([0.55], False),  # of six trials at the first epoch, the best two go on
        ([0.65], True),
        ([0.9, 0.9], False),  # no rung
        ([0.9, 0.9, 0.45], True),  # of four trials at the third epoch, the best goes on
        ([0.9, 0.9, 0.25], False),
    ],
)
def test_the_halving_rule(curve: list[float], pruned: bool) -> None:
    rule = Pruning("halving", first=1, factor=3)
    assert should_prune(rule, curve, OTHERS) is pruned


def test_without_a_rule_nothing_is_pruned() -> None:
    assert not should_prune(Pruning(), [1.0] * 3, OTHERS)
