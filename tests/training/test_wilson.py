"""The Wilson interval against another implementation."""

from __future__ import annotations

import random

import pytest

from mlp_cli.training.metrics import wilson_interval


def test_the_oracle_of_statsmodels_gives_the_same_wilson_interval() -> None:
    reason = "needs statsmodels: the group oracle"
    proportion = pytest.importorskip("statsmodels.stats.proportion", reason=reason)
    drawn = random.Random(0)
    for _ in range(100):
        n = drawn.randint(1, drawn.choice([10, 1000, 60_000]))
        errors = drawn.choice([0, n, drawn.randint(0, n)])
        expected = proportion.proportion_confint(errors, n, method="wilson")
        assert wilson_interval(errors, n) == pytest.approx(expected, abs=1e-12)
