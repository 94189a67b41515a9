"""McNemar's exact test against its definition and against another implementation."""

from __future__ import annotations

import math
import random

import pytest

from mlp_cli.inference.mcnemar import mcnemar


@pytest.mark.parametrize(
    ("only_one", "only_other", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 5, 1.0), (0, 6, 2 / 64), (2, 8, 2 * (1 + 10 + 45) / 1024)],
)
def test_the_p_value_is_that_of_the_binomial_distribution(
    only_one: int, only_other: int, p: float
) -> None:
    assert mcnemar(only_one, only_other) == p == mcnemar(only_other, only_one)


def test_the_p_value_is_the_sum_over_all_counts_that_are_at_least_as_unequal() -> None:
    for n in range(1, 30):
        for k in range(n + 1):
            unequal = sum(math.comb(n, i) for i in range(n + 1) if abs(2 * i - n) >= abs(2 * k - n))
            assert mcnemar(k, n - k) == pytest.approx(unequal / 2**n, rel=1e-15)


def test_large_counts_neither_overflow_nor_take_long() -> None:
    assert mcnemar(5_000, 5_000) == 1.0
    assert mcnemar(0, 10_000) == 0.0  # below the smallest float
    assert mcnemar(4_900, 5_100) == pytest.approx(0.0466, abs=0.0005)


def test_the_oracle_of_scipy_gives_the_same_p_value_on_100_drawn_tables() -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs SciPy: the group oracle")
    drawn = random.Random(0)
    for _ in range(100):
        n = drawn.randint(1, drawn.choice([20, 200, 2000]))
        k = round(n * min(1.0, max(0.0, drawn.gauss(0.5, 0.15))))
        expected = stats.binomtest(k, n, 0.5, alternative="two-sided").pvalue
        assert mcnemar(k, n - k) == pytest.approx(expected, rel=1e-9)
