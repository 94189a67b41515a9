"""Put runs into lines to compare: runs that differ only in their seed share one line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from mlp_cli.errors import ConfigError, did_you_mean
from mlp_cli.runs.listing import ListedRun, natural
from mlp_cli.training.metrics import wilson_interval

CONFIRM = "confirm"  # the folder of a sweep's runs with fresh seeds


class Figure(NamedTuple):
    """An error rate: of one run with its interval, or the mean of several with their deviation.

    `interval` is the 95 % Wilson interval, or None of several runs. `deviation` is the standard
    deviation of several runs (with n − 1), or None of one.
    """

    rate: float
    interval: Sequence[float] | None
    deviation: float | None


class Line:
    """Runs that differ only in their seed and have one state.

    Attributes
    ----------
    runs
        At least one.
    first
        The first of them.
    """

    def __init__(self, runs: Sequence[ListedRun]) -> None:
        self.runs, self.first = runs, runs[0]

    @property
    def state(self) -> str:
        """The state of the runs."""
        return self.first.state

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs, if they are known."""
        return tuple(run.config["seed"] for run in self.runs if run.config)

    @property
    def seconds(self) -> float | None:
        """The mean time of the runs in seconds, None if it is not known."""
        return _mean([run.seconds for run in self.runs if run.seconds is not None])

    @cached_property
    def val_error(self) -> Figure | None:
        """The validation error, None without one. A run that is not finished counts so far."""
        found = [
            (_error(run.val_accuracy), _validation_interval(run))
            for run in self.runs
            if run.val_accuracy is not None
        ]
        return _figure(found)

    @cached_property
    def test_error(self) -> Figure | None:
        """The test error, None if it was not scored."""
        found = [
            (_error(run.test_accuracy), run.test_error_ci95)
            for run in self.runs
            if run.test_accuracy is not None
        ]
        return _figure(found)


def make_lines(runs: Iterable[ListedRun], *, single: bool = False) -> list[Line]:
    """Return a line for all runs that differ only in their seed, or if `single` for each run.

    Runs of different states have lines of their own. So have the runs that confirm a trial of a
    sweep: the trial was chosen for its figures, which are better by chance.
    """
    groups: dict[Any, list[ListedRun]] = {}
    for number, run in enumerate(runs):
        others = tuple(item for item in _trained(run) if item[0] != "seed")
        confirms = run.path.parent.parent.name == CONFIRM
        key = number if single or not others else (others, run.state, confirms)
        groups.setdefault(key, []).append(run)
    return [Line(group) for group in groups.values()]


def differing_keys(lines: Sequence[Line]) -> list[str]:
    """Return the dotted keys whose values differ between lines, those of `data` and `seed` last.

    A key that only some have does not count, because the `name` of its section differs too. `seed`
    counts only if each line is one run.
    """
    values: dict[str, set[Any]] = {}
    for line in lines:
        for key, value in _trained(line.first):
            values.setdefault(key, set()).add(value)
    if any(len(line.runs) > 1 for line in lines):
        del values["seed"]
    keys = [key for key, found in values.items() if len(found) > 1]
    return sorted(keys, key=lambda key: (key == "seed", key.startswith("data.")))


def _trained(run: ListedRun) -> list[tuple[str, Any]]:
    """Return the keys of a run with their values, but for `logging`, which trains nothing."""
    return [item for item in run.config.items() if not item[0].startswith("logging.")]


def short_key(key: str) -> str:
    """Return the last part of a dotted key; of `optimizer.name`, the section, which it chooses."""
    section, _, name = key.rpartition(".")
    return section if name == "name" else name


def sort_lines(lines: Sequence[Line], by: str) -> list[Line]:
    """Return the lines in ascending order, those without a value last.

    Parameters
    ----------
    lines
        The lines.
    by
        "run", "state", "n", "val_error", "test_error", "seconds", or a key of a configuration,
        for which its `short_key` is enough. By an error, lines of finished runs come first.

    Raises
    ------
    ConfigError
        If there is no such key.
    """
    value = _BY_NAME.get(by) or _key_value(lines, by)
    ordered = sorted(lines, key=lambda line: natural(str(line.first.path)))
    return sorted(ordered, key=lambda line: _rank(value(line)))


def _by_error(figure: Figure | None, line: Line) -> tuple[bool, float] | None:
    return None if figure is None else (line.state != "finished", figure.rate)


_BY_NAME: dict[str, Callable[[Line], Any]] = {
    "run": lambda line: natural(str(line.first.path)),
    "state": lambda line: line.state,
    "n": lambda line: len(line.runs),
    "val_error": lambda line: _by_error(line.val_error, line),
    "test_error": lambda line: _by_error(line.test_error, line),
    "seconds": lambda line: line.seconds,
}


def _key_value(lines: Sequence[Line], by: str) -> Callable[[Line], Any]:
    known = dict.fromkeys(key for line in lines for key in line.first.config)
    meant = [key for key in known if by in (key, short_key(key))]
    if len(meant) == 1:
        return lambda line: line.first.config.get(meant[0])
    if meant:
        raise ConfigError(f"--sort {by}: write which one: {' or '.join(meant)}.")
    names = [*_BY_NAME, *known, *map(short_key, known)]
    raise ConfigError(
        f"--sort {by}: there is no such key.{did_you_mean(by, names)} "
        f"Give {', '.join(_BY_NAME)}, or a key of the configuration."
    )


def _rank(value: Any) -> tuple[Any, ...]:
    """Return what to sort a value by: numbers before other values, and None last."""
    if value is None:
        return (2,)
    return (0, value) if isinstance(value, bool | int | float) else (1, value)


def _error(accuracy: float) -> float:
    return round(1 - accuracy, 12)  # without the digits that the subtraction leaves


def _validation_interval(run: ListedRun) -> Sequence[float] | None:
    n = run.config.get("data.validation")
    if not n or run.val_accuracy is None:
        return None
    return wilson_interval(round((1 - run.val_accuracy) * n), n)


def _figure(found: Sequence[tuple[float, Sequence[float] | None]]) -> Figure | None:
    rates = [rate for rate, _ in found]
    mean = _mean(rates)
    if mean is None:
        return None
    if len(rates) == 1:
        return Figure(mean, found[0][1], None)
    squares = math.fsum((rate - mean) ** 2 for rate in rates)
    return Figure(mean, None, math.sqrt(squares / (len(rates) - 1)))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
