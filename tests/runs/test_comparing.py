"""Runs become lines, lines are sorted, and the keys in which they differ are found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.written_runs import write_run

from mlp_cli.errors import ConfigError
from mlp_cli.runs.comparing import Line, differing_keys, make_lines, sort_lines
from mlp_cli.runs.listing import RunReader, find_runs
from mlp_cli.training.metrics import wilson_interval


def lines_in(folder: Path, *, single: bool = False) -> list[Line]:
    reader = RunReader()
    return make_lines([reader.read(found) for found in find_runs([folder])], single=single)


def names(lines: list[Line]) -> list[str]:
    return [line.first.path.name for line in lines]


def test_runs_that_differ_only_in_their_seed_share_a_line_with_mean_and_deviation(
    tmp_path: Path,
) -> None:
    for seed, (accuracy, errors) in enumerate([(0.90, 10), (0.92, 20), (0.97, 60)]):
        write_run(
            tmp_path / f"s{seed}", {"seed": seed}, val_accuracy=accuracy, test_errors=errors,
            seconds=10.0 * seed,
        )  # fmt: skip
    write_run(tmp_path / "other", {"model.hidden": [3]}, test_errors=0)
    alone, together = lines_in(tmp_path)
    assert names([alone, together]) == ["other", "s0"]
    assert (together.seeds, together.seconds) == ((0, 1, 2), 10.0)
    # statistics.mean and statistics.stdev of 0.10, 0.08, 0.03 and of 0.01, 0.02, 0.06
    assert together.val_error is not None and together.test_error is not None
    assert together.val_error.rate == pytest.approx(0.07)
    assert together.val_error.deviation == pytest.approx(0.03605551275)
    assert together.test_error.rate == pytest.approx(0.03)
    assert together.test_error.deviation == pytest.approx(0.02645751311)
    assert together.val_error.interval is together.test_error.interval is None


def test_a_single_run_has_wilson_intervals_and_no_deviation(tmp_path: Path) -> None:
    write_run(tmp_path / "a", val_accuracy=0.95, test_errors=30)
    (line,) = lines_in(tmp_path)
    assert line.val_error == (0.05, wilson_interval(50, 1000), None)
    assert line.test_error == (0.03, [0.01, 0.09], None)


def test_without_validation_or_test_there_is_no_figure(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"data.validation": 0}, val_accuracy=None)
    (line,) = lines_in(tmp_path)
    assert (line.val_error, line.test_error) == (None, None)


def test_runs_of_other_states_and_confirming_runs_have_lines_of_their_own(tmp_path: Path) -> None:
    for place in ("trials/00001/seed-0", "trials/00001/seed-1", "confirm/00001/seed-2"):
        write_run(tmp_path / place, {"seed": int(place[-1])})
    write_run(tmp_path / "trials/00001/seed-3", {"seed": 3}, finished=False)
    found = {line.seeds: line.state for line in lines_in(tmp_path)}
    assert found == {(0, 1): "finished", (2,): "finished", (3,): "stopped"}
    assert len(lines_in(tmp_path, single=True)) == 4


def test_runs_whose_configuration_is_unknown_are_not_put_together(tmp_path: Path) -> None:
    for name in "ab":
        (write_run(tmp_path / name) / "config.yaml").unlink()
    assert [line.state for line in lines_in(tmp_path)] == ["damaged", "damaged"]


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ([{}, {}], []),
        ([{}, {"model.hidden": [3]}], ["model.hidden"]),
        ([{"training.epochs": 3}, {"loss": "mse"}], ["loss", "training.epochs"]),
        ([{}, {"optimizer.name": "adam"}], ["optimizer.name", "optimizer.learning_rate"]),
        ([{"data.scaling": "standard"}, {"seed": 1}], ["data.scaling", "seed"]),
        ([{"data.scaling": "standard"}, {"seed": 1}, {"seed": 2}], ["data.scaling"]),
        ([{}, {"seed": 1}], []),
    ],
)
def test_the_keys_that_differ_are_those_that_several_lines_have(
    changes: list[dict[str, Any]], keys: list[str], tmp_path: Path
) -> None:
    for number, change in enumerate(changes):
        write_run(tmp_path / str(number), change)
    assert differing_keys(lines_in(tmp_path)) == keys


def test_lines_are_sorted_by_any_figure_or_key_and_those_without_it_are_last(
    tmp_path: Path,
) -> None:
    write_run(tmp_path / "a-10", {"optimizer.learning_rate": 0.3}, val_accuracy=0.8, seconds=3.0)
    write_run(tmp_path / "a-9", {"optimizer.learning_rate": 0.02}, val_accuracy=0.7, seconds=9.0)
    write_run(tmp_path / "b", {"training.epochs": 3}, val_accuracy=None, test_errors=5)
    write_run(tmp_path / "c", {"optimizer.name": "adam"}, val_accuracy=0.99, finished=False)
    lines = lines_in(tmp_path)
    expected = {
        "val_error": ["a-10", "a-9", "c", "b"],
        "test_error": ["b", "a-9", "a-10", "c"],
        "run": ["a-9", "a-10", "b", "c"],
        "state": ["a-9", "a-10", "b", "c"],
        "seconds": ["a-10", "a-9", "b", "c"],
        "learning_rate": ["c", "a-9", "b", "a-10"],
        "optimizer.learning_rate": ["c", "a-9", "b", "a-10"],
        "optimizer": ["c", "a-9", "a-10", "b"],
        "momentum": ["a-9", "a-10", "b", "c"],
        "hidden": ["a-9", "a-10", "b", "c"],
    }
    for key, order in expected.items():
        assert names(sort_lines(lines, key)) == order, key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("learning_rat", "Did you mean learning_rate?"),
        ("zzz", "Give run, state, n, val_error"),
    ],
)
def test_a_key_that_cannot_be_sorted_by_is_refused(key: str, message: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    with pytest.raises(ConfigError, match=re.escape(message)):
        sort_lines(lines_in(tmp_path), key)


def test_logging_does_not_make_runs_different(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"seed": 1})
    write_run(tmp_path / "b", {"seed": 2, "logging.tensorboard": True})
    assert [line.seeds for line in lines_in(tmp_path)] == [(1, 2)]
    assert differing_keys(lines_in(tmp_path, single=True)) == ["seed"]
