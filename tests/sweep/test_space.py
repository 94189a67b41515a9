"""The values of trials: grids, ranges, conditions and random values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_cli.sweep.space import Choices, Dimension, Range, Space

SGD = {"optimizer.name": ("sgd",)}


def test_a_grid_has_every_combination_and_the_last_key_changes_fastest() -> None:
    space = Space((Dimension("a", Choices((1, 2))), Dimension("b", Range(0.0, 0.5, step=0.25))))
    assert [tuple(values.values()) for values in space.grid()] == [
        (1, 0.0),
        (1, 0.25),
        (1, 0.5),
        (2, 0.0),
        (2, 0.25),
        (2, 0.5),
    ]


def test_a_conditional_key_is_only_in_the_trials_that_have_its_condition() -> None:
    space = Space(
        (
            Dimension("optimizer.name", Choices(("sgd", "adam"))),
            Dimension("optimizer.momentum", Choices((0.5, 0.9)), SGD),
        )
    )
    assert list(space.grid()) == [
        {"optimizer.name": "sgd", "optimizer.momentum": 0.5},
        {"optimizer.name": "sgd", "optimizer.momentum": 0.9},
        {"optimizer.name": "adam"},
    ]
    for number in range(50):
        values = space.random(0, number)
        assert ("optimizer.momentum" in values) == (values["optimizer.name"] == "sgd")


def test_a_step_of_a_decimal_fraction_reaches_the_end_without_digits_of_rounding() -> None:
    assert Range(0.0, 0.5, step=0.1).grid == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Range(1, 7, step=2, whole=True).grid == [1, 3, 5, 7]
    assert Range(1, 3, whole=True).grid == [1, 2, 3]


@pytest.mark.parametrize("domain", [Range(1e-3, 1.0), Range(1e-3, 1.0, log=True)])
def test_a_continuous_range_has_no_grid(domain: Range) -> None:
    assert domain.grid is None


@given(
    low=st.floats(1e-6, 1e3),
    factor=st.floats(1.001, 1e4),
    log=st.booleans(),
    u=st.floats(0, 1, exclude_max=True),
)
def test_a_value_of_a_range_is_within_it(low: float, factor: float, log: bool, u: float) -> None:
    found = Range(low, low * factor, log).at(u)
    assert low <= found <= low * factor


@given(
    low=st.integers(1, 100),
    size=st.integers(1, 1000),
    log=st.booleans(),
    u=st.floats(0, 1, exclude_max=True),
)
def test_a_whole_number_of_a_range_is_within_it(low: int, size: int, log: bool, u: float) -> None:
    found = Range(low, low + size, log, whole=True).at(u)
    assert type(found) is int
    assert low <= found <= low + size


def test_random_values_depend_on_the_seed_and_the_number_alone() -> None:
    space = Space((Dimension("a", Range(0.0, 1.0)), Dimension("b", Choices((1, 2, 3)))))
    many = [space.random(0, number) for number in range(20)]
    assert [space.random(0, number) for number in reversed(range(20))] == many[::-1]
    assert space.random(1, 0) != many[0]
    assert len({values["a"] for values in many}) == 20


def test_with_log_each_factor_has_the_same_share() -> None:
    values = [Range(1e-3, 1.0, log=True).at(i / 3000) for i in range(3000)]
    for low in (1e-3, 1e-2, 1e-1):
        share = sum(low <= value < 10 * low for value in values) / 3000
        assert math.isclose(share, 1 / 3, abs_tol=0.01)
