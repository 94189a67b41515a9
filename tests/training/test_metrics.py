"""Confidence intervals, scores and lines of metrics."""

from __future__ import annotations

import numpy as np
import pytest

from mlp_cli.storage.strict_json import to_json
from mlp_cli.training.metrics import EpochMetrics, Scores, wilson_interval


@pytest.mark.parametrize(
    ("errors", "n", "low", "high"),
    # statsmodels.stats.proportion.proportion_confint(errors, n, method="wilson")
    [(0, 100, 0.0, 0.0369935), (5, 100, 0.0215437, 0.1117505), (10, 10, 0.7224672, 1.0)],
)
def test_the_wilson_interval_has_known_values(errors: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(errors, n) == pytest.approx((low, high), abs=1e-6)


def test_the_bounds_of_the_wilson_interval_solve_its_equation() -> None:
    z = 1.959963984540054
    for bound in wilson_interval(160, 10_000):
        assert abs(0.016 - bound) == pytest.approx(z * (bound * (1 - bound) / 10_000) ** 0.5)


def test_scores_of_a_known_confusion_matrix_are_right() -> None:
    scores = Scores(0.5, np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]))
    assert (scores.n, scores.errors, scores.accuracy) == (20, 3, 0.85)
    first, _, empty = scores.per_class()
    assert first == {
        "label": 0,
        "precision": pytest.approx(8 / 9),
        "recall": pytest.approx(0.8),
        "f1": pytest.approx(16 / 19),
        "support": 10,
    }
    assert empty == {"label": 2, "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


def test_metrics_are_one_line_of_strict_json() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        to_json({"loss": float("inf")})
    line = EpochMetrics(1, 430, 0.1, 0.5, 0.9, None, None, 1e5, 2.0).to_json()
    assert "\n" not in line
    assert '"val_loss": null' in line
