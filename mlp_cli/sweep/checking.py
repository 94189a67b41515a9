"""Whether every trial of a sweep will have a valid configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from typing import Any

from mlp_cli.config.checking import Source
from mlp_cli.config.load import leaves
from mlp_cli.config.schema import Config
from mlp_cli.config.wording import shown
from mlp_cli.config.yaml12 import Document, KeyPath
from mlp_cli.sweep.definition import Sweep
from mlp_cli.sweep.faults import Faults
from mlp_cli.sweep.space import Choices, Dimension, Space, Values

TRIED = 2000  # trials whose configuration is checked before the first of them runs


def check_trials(sweep: Sweep, origin: str, lines: Mapping[KeyPath, int], faults: Faults) -> Sweep:
    """Check the configurations of a sweep's trials.

    Every value of a list and both ends of a range are checked alone, and then the first trials
    whole, because keys can be valid alone but not together.

    Parameters
    ----------
    sweep
        The sweep as it was read.
    origin, lines
        Where the base configuration comes from, and the lines of its keys.
    faults
        Collects what is wrong.

    Returns
    -------
    The sweep. Conditions on keys that are not searched are resolved, and `data.path` is absolute.
    """
    checker = _Checker(sweep, origin, lines, faults)
    config = checker.check({})
    if config is not None:
        sweep = replace(sweep, space=_resolved(sweep.space, config, faults))
        if config.data.validation == 0:
            text = "a sweep compares trials on held-out images, but data.validation is 0."
            faults.add(("set", "data.validation"), text)
        if config.data.path is not None:
            sweep = _with_absolute_path(sweep, config.data.path)
    if sweep.method == "cmaes":
        _check_cmaes(sweep.space, faults)
    for dimension in sweep.space.dimensions:
        for value in _extremes(dimension):
            checker.check({**_allowing(dimension, sweep.space), dimension.key: value})
    if not faults.listed:
        for values in islice(_values(sweep), TRIED):
            checker.check(values)
    return sweep


class _Checker:
    def __init__(
        self, sweep: Sweep, origin: str, lines: Mapping[KeyPath, int], faults: Faults
    ) -> None:
        self._sweep, self._origin, self._lines, self._faults = sweep, origin, lines, faults

    def check(self, values: Values) -> Config | None:
        """Return the configuration with these values, or None after noting its faults."""
        source, faults = Source(self._origin), self._faults
        source.add_file(Document(deepcopy(dict(self._sweep.base)), dict(self._lines)))
        for section, changes in (("set", self._sweep.changes), ("search", values)):
            for key, value in changes.items():
                path = (section, key)
                source.add_sweep_value(faults.line(path), faults.name(path), key, value)
        config = source.check()
        for fault in source.faults():
            faults.add_text(fault)
        return config


def _resolved(space: Space, config: Config, faults: Faults) -> Space:
    """Return the space without conditions on keys that are not searched."""
    searched, fixed = {dimension.key for dimension in space.dimensions}, dict(leaves(config))
    kept = []
    for dimension in space.dimensions:
        for key, allowed in dimension.condition.items():
            if key not in searched and fixed.get(key) not in allowed:
                faults.add(
                    ("search", dimension.key, "if", key),
                    f"this is never true: {key} is {shown(fixed.get(key))} in all trials.",
                )
        condition = {key: of for key, of in dimension.condition.items() if key in searched}
        kept.append(replace(dimension, condition=condition))
    return Space(tuple(kept))


def _with_absolute_path(sweep: Sweep, path: str) -> Sweep:
    """Return the sweep with `data.path` as a folder that does not depend on where `mlp` runs."""
    if "data.path" in sweep.changes:
        return replace(sweep, changes={**sweep.changes, "data.path": path})
    return replace(sweep, base={**sweep.base, "data": {**sweep.base["data"], "path": path}})


def _check_cmaes(space: Space, faults: Faults) -> None:
    for dimension in space.dimensions:
        if isinstance(dimension.domain, Choices) or dimension.condition:
            faults.add(
                ("search", dimension.key),
                "cmaes searches ranges without conditions only. Take another method, such as tpe.",
            )
    if len(space.dimensions) < 2:
        faults.add(("search",), "cmaes needs two ranges or more. Take another method.")


def _extremes(dimension: Dimension) -> tuple[Any, ...]:
    domain = dimension.domain
    return domain.values if isinstance(domain, Choices) else (domain.low, domain.high)


def _allowing(dimension: Dimension, space: Space) -> Values:
    """Return values of other keys with which the condition of a dimension is true."""
    by_key = {other.key: other for other in space.dimensions}
    values: Values = {}
    for key, allowed in dimension.condition.items():
        if key in by_key:
            values |= {**_allowing(by_key[key], space), key: allowed[0]}
    return values


def _values(sweep: Sweep) -> Iterator[Values]:
    """Yield the values of trials: those of a grid, or random ones."""
    if sweep.method == "grid":
        return sweep.space.grid()
    return (_spread(sweep.space, number) for number in range(min(sweep.trials, 300)))


def _spread(space: Space, number: int) -> Values:
    """Return values spread over the space, without NumPy: multiples of irrational numbers."""
    return space.at(
        [
            (number + 1) * (0.618033988749895 + i * 0.414213562373095) % 1
            for i in range(len(space.dimensions))
        ]
    )
