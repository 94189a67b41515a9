"""Read a sweep file. All faults are reported at once, each with its line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from mlp_cli.config.checking import list_faults
from mlp_cli.config.reading import read
from mlp_cli.config.shipped import DEFAULT, SUFFIX, shipped_configs
from mlp_cli.config.wording import shown
from mlp_cli.config.yaml12 import REFUSED, KeyPath, parse
from mlp_cli.errors import ConfigError, did_you_mean
from mlp_cli.storage.files import exists
from mlp_cli.sweep.checking import check_trials
from mlp_cli.sweep.definition import (
    METHODS,
    MINIMISED,
    PRUNING_KEYS,
    Confirm,
    Pruning,
    Sweep,
)
from mlp_cli.sweep.dimensions import DimensionReader
from mlp_cli.sweep.faults import Faults
from mlp_cli.sweep.space import Space

KEYS = (
    "config",
    "set",
    "search",
    "method",
    "trials",
    "seeds",
    "minimise",
    "prune",
    "confirm",
    "time_limit",
    "seed",
)
MOST_TRIALS = 1_000_000
MISSING: Any = object()


def read_sweep(path: Path) -> Sweep:
    """Read and check a sweep file.

    Raises
    ------
    ConfigError
        If the file is missing, or if it or the configuration that it names has faults. The message
        lists all of them.
    StorageError
        If a file cannot be read.
    """
    return SweepReader(path).sweep()


class SweepReader:
    """Reads one sweep file, and collects its faults."""

    def __init__(self, path: Path) -> None:
        self._path = path
        document = parse(read(path))
        self._faults = Faults(str(path), document.lines)
        for fault in document.faults:
            self._faults.at_line(fault.line, fault.path, fault.text)
        self._data: Any = document.value
        if document.value is None:
            self._faults.add((), "the file is empty. A sweep needs at least `search:`.")
        elif not isinstance(self._data, dict) and document.value is not REFUSED:
            self._faults.add((), "not a mapping. Write `key: value` lines.")
        if not isinstance(self._data, dict):
            self._data = {}

    def sweep(self) -> Sweep:
        """Return the sweep.

        Raises
        ------
        ConfigError
            If there is any fault.
        """
        if self._data:
            self._known(self._data, KEYS, ())
        base, origin, lines = self._base()
        changes = self._mapping("set")
        space = DimensionReader(self._faults).space(self._mapping("search"))
        if "search" not in self._data and self._data:
            self._faults.add((), "`search` is missing: the keys to search, and their values.")
        countable = all(dimension.domain.grid for dimension in space.dimensions)
        default = "random" if "trials" in self._data or not countable else "grid"
        method = self._choice("method", METHODS, default)
        sweep = Sweep(
            base=base,
            changes=changes,
            space=space,
            method=method,
            trials=self._trials(method, space),
            seeds=self._whole("seeds", 1, 1, 1000),
            minimise=self._choice("minimise", MINIMISED, MINIMISED[0]),
            prune=self._pruning(),
            confirm=self._confirm(),
            time_limit=self._time_limit(),
            seed=self._whole("seed", 0, 0, 2**63 - 1),
        )
        searched = {dimension.key for dimension in space.dimensions}
        for key in changes.keys() & searched:
            self._faults.add(("set", key), "it is searched too. Remove it here, or there.")
        checked = check_trials(sweep, origin, lines, self._faults)
        if self._faults.listed:
            raise ConfigError(list_faults(str(self._path), self._faults.listed))
        return checked

    def _base(self) -> tuple[dict[str, Any], str, Mapping[KeyPath, int]]:
        """Return the base configuration as data, the place that it comes from, and its lines."""
        found = self._data.get("config", DEFAULT)
        if isinstance(found, dict):
            inner = {
                path[1:]: line
                for path, line in self._faults.lines.items()
                if path[:1] == ("config",)
            }
            return found, str(self._path), inner
        shipped = {config.name: config.path for config in shipped_configs()}
        if not isinstance(found, str):
            text = f"found {shown(found)}; must be a file, the name of a shipped configuration, or"
            self._faults.add(("config",), f"{text} a mapping.")
            return {}, "", {}
        file = self._path.parent / Path(found).expanduser()
        if not exists(file):
            name = found.removesuffix(SUFFIX)
            if name not in shipped:
                meant = did_you_mean(name, shipped)
                self._faults.add(
                    ("config",),
                    f"there is neither the file {file} nor a shipped configuration {found}.{meant} "
                    "`mlp config list` shows the shipped ones.",
                )
                return {}, "", {}
            file = shipped[name]
        document = parse(read(file))
        for fault in document.faults:
            self._faults.elsewhere(f"{file}:{fault.line}", fault.text)
        value = document.value
        if not isinstance(value, dict):
            if value is not REFUSED:
                self._faults.elsewhere(str(file), "it holds no configuration.")
            return {}, str(file), {}
        return value, str(file), document.lines

    def _known(self, found: Mapping[str, Any], keys: Collection[str], path: KeyPath) -> None:
        for key in found:
            if key not in keys:
                meant = did_you_mean(key, keys) or f" The keys are {', '.join(keys)}."
                self._faults.add((*path, key), f"unknown key.{meant}")

    def _mapping(self, key: str) -> dict[str, Any]:
        found = self._data.get(key)
        if isinstance(found, dict) and (found or key == "set"):
            return found
        if key in self._data and (found is not None or key == "search"):
            text = "must be a mapping of dotted keys, as in `training.epochs: 5`."
            self._faults.add((key,), f"found {shown(found)}; {text}")
        return {}

    def _value(
        self, path: KeyPath, found: Any, is_right: Callable[[Any], bool], allowed: str, default: Any
    ) -> Any:
        """Return a value, or its default after a fault if it is not right."""
        if found is MISSING or is_right(found):
            return default if found is MISSING else found
        self._faults.add(path, f"found {shown(found)}; must be {allowed}.")
        return default

    def _whole(self, key: str, default: int, low: int, high: int, within: str = "") -> int:
        section = self._data.get(within) if within else self._data
        found = section.get(key, MISSING) if isinstance(section, dict) else MISSING
        path = (within, key) if within else (key,)
        allowed = f"an integer from {low} to {high}"

        def is_right(value: Any) -> bool:
            return type(value) is int and low <= value <= high

        return int(self._value(path, found, is_right, allowed, default))

    def _choice(self, key: str, names: Collection[str], default: str) -> str:
        found = self._data.get(key, default)
        if isinstance(found, str) and found in names:
            return found
        meant = did_you_mean(found, names) if isinstance(found, str) else ""
        allowed = f"must be one of {', '.join(names)}"
        self._faults.add((key,), f"found {shown(found)}; {allowed}.{meant}")
        return default

    def _trials(self, method: str, space: Space) -> int:
        given = "trials" in self._data
        if method == "grid":
            for dimension in space.dimensions:
                if not dimension.domain.grid:
                    text = "a grid needs a list, or a range with `step`. Give one, or another"
                    self._faults.add(("search", dimension.key), f"{text} `method`.")
                    return 1
            number = sum(1 for _ in islice(space.grid(), MOST_TRIALS + 1))
            if number > MOST_TRIALS:
                self._faults.add(("search",), f"the grid has more than {MOST_TRIALS:,} trials.")
            elif given and self._data["trials"] != number:
                text = f"a grid has its own number of trials, here {number}. Remove the key."
                self._faults.add(("trials",), text)
            return number
        if not given and self._data:
            self._faults.add((), f"`trials` is missing: {method} needs the number of trials.")
        return self._whole("trials", 1, 1, MOST_TRIALS)

    def _pruning(self) -> Pruning:
        found = self._data.get("prune", "none")
        rule, given = (found, {}) if not isinstance(found, dict) else (found.get("rule"), found)
        if not isinstance(rule, str) or rule not in PRUNING_KEYS:
            meant = did_you_mean(rule, PRUNING_KEYS) if isinstance(rule, str) else ""
            allowed = f"must be one of {', '.join(PRUNING_KEYS)}, or a mapping with `rule`"
            self._faults.add(("prune",), f"found {shown(rule)}; {allowed}.{meant}")
            return Pruning()
        self._known(given, ("rule", *PRUNING_KEYS[rule]), ("prune",))
        default = Pruning()
        return Pruning(
            rule,
            warmup=self._whole("warmup", default.warmup, 0, 1_000_000, "prune"),
            trials=self._whole("trials", default.trials, 1, MOST_TRIALS, "prune"),
            first=self._whole("first", default.first, 1, 1_000_000, "prune"),
            factor=self._whole("factor", default.factor, 2, 1000, "prune"),
        )

    def _confirm(self) -> Confirm:
        found = self._data.get("confirm", {})
        if not isinstance(found, dict):
            allowed = "must be a mapping, as in {top: 3, seeds: 5}"
            self._faults.add(("confirm",), f"found {shown(found)}; {allowed}.")
            return Confirm()
        self._known(found, ("top", "seeds"), ("confirm",))
        return Confirm(
            self._whole("top", 0, 0, MOST_TRIALS, "confirm"),
            self._whole("seeds", 5, 1, 1000, "confirm"),
        )

    def _time_limit(self) -> float | None:
        found = self._data.get("time_limit", MISSING)

        def is_right(value: Any) -> bool:
            return value is None or (type(value) in (int, float) and 0 < value < float("inf"))

        allowed = "a number of seconds above 0, or null"
        limit = self._value(("time_limit",), found, is_right, allowed, None)
        return None if limit is None else float(limit)
