"""The keys that a sweep searches, read from its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mlp_cli.config.hints import SECTIONS, known_keys, nearest_key
from mlp_cli.config.wording import shown
from mlp_cli.errors import did_you_mean
from mlp_cli.sweep.faults import Faults
from mlp_cli.sweep.space import Choices, Dimension, Range, Space

RANGE_KEYS = ("low", "high", "log", "step", "if")
CHOICES_KEYS = ("choices", "if")
MOST_VALUES = 100_000
COMPARED = "all trials have to be compared on the same images, so give it under `set`"
NOT_SEARCHED = {
    "seed": "the seed is no hyperparameter. `seeds` gives each trial several runs",
    "data.test": "a sweep never reads the test set in its trials",
    **dict.fromkeys(
        (
            "data.dataset",
            "data.path",
            "data.validation",
            "data.stratify",
            "data.consecutive",
            "data.download",
            "data.fallback",
        ),
        COMPARED,
    ),
}


class DimensionReader:
    """Reads `search`, and notes its faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._allowed = known_keys()

    def space(self, search: Mapping[str, Any]) -> Space:
        """Return the space; keys with faults are left out."""
        found: dict[str, Dimension] = {}
        for key, entry in search.items():
            dimension = self._dimension(key, entry)
            if dimension is not None:
                found[key] = dimension
        ordered: dict[str, Dimension] = {}
        for key in found:
            self._order(key, found, ordered, ())
        return Space(tuple(ordered.values()))

    def _order(
        self,
        key: str,
        found: dict[str, Dimension],
        ordered: dict[str, Dimension],
        above: tuple[str, ...],
    ) -> None:
        """Put the keys of a condition before the key that has it."""
        if key in above:
            self._fault(key, f"its condition depends on itself, by {', '.join(above)}.")
            found[key] = Dimension(key, found[key].domain)
        for other in found[key].condition:
            if other in found and other not in ordered:
                self._order(other, found, ordered, (*above, key))
        ordered.setdefault(key, found[key])

    def _fault(self, key: str, text: str, *inner: str) -> None:
        self._faults.add(("search", key, *inner), text)

    def _dimension(self, key: str, entry: Any) -> Dimension | None:
        if key not in self._allowed:
            self._fault(key, _unknown(key))
            return None
        if key in NOT_SEARCHED:
            self._fault(key, f"it cannot be searched: {NOT_SEARCHED[key]}.")
            return None
        condition = entry.get("if") if isinstance(entry, dict) else None
        if isinstance(entry, list):
            domain = self._choices(key, entry)
        elif isinstance(entry, dict) and "choices" in entry:
            self._check_keys(key, entry, CHOICES_KEYS)
            domain = self._choices(key, entry["choices"])
        elif isinstance(entry, dict):
            self._check_keys(key, entry, RANGE_KEYS)
            return self._with_condition(key, self._range(key, entry), condition)
        else:
            text = "must be a list of choices, or a range as in {low: 0.01, high: 1.0, log: true}"
            self._fault(key, f"found {shown(entry)}; {text}.")
            return None
        return self._with_condition(key, domain, condition)

    def _check_keys(self, key: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for name in entry:
            if name not in known:
                hint = did_you_mean(name, known) or f" The keys are {', '.join(known)}."
                self._fault(key, f"unknown key.{hint}", name)

    def _choices(self, key: str, values: Any) -> Choices | None:
        if not isinstance(values, list) or not values:
            self._fault(key, "there is no value to choose. Write a list, as in [64, 128].")
            return None
        for position, value in enumerate(values):
            if any(_same(value, other) for other in values[:position]):
                self._fault(key, f"{shown(value)} is there twice. Keep one.")
                return None
        return Choices(tuple(values))

    def _range(self, key: str, entry: Mapping[str, Any]) -> Range | None:
        allowed = self._allowed[key]
        whole = allowed.startswith("an integer")
        if not whole and not allowed.startswith("a number"):
            text = f"a range is for numbers, but this is {allowed}. Write a list of choices."
            self._fault(key, text)
            return None
        missing = [name for name in ("low", "high") if name not in entry]
        if missing:
            self._fault(key, f"{' and '.join(missing)} of the range is missing.")
            return None
        kinds = (int,) if whole else (int, float)
        wrong = False
        for name in ("low", "high", "step"):
            value: Any = entry.get(name)
            if name == "step" and value is None:
                continue
            if type(value) not in kinds or not math.isfinite(value):
                kind = "an integer" if whole else "a number"
                self._fault(key, f"found {shown(value)}; must be {kind}.", name)
                wrong = True
        log = entry.get("log", False)
        if not isinstance(log, bool):
            self._fault(key, f"found {shown(log)}; must be true or false.", "log")
            wrong = True
        if wrong:
            return None
        low, high, step = entry["low"], entry["high"], entry.get("step")
        fault = ""
        if low >= high:
            fault = f"low ({low:g}) must be below high ({high:g})."
        elif log and low <= 0:
            fault = f"with log, low must be above 0, but it is {low:g}."
        elif step is not None and log:
            fault = "log and step exclude each other. Remove one."
        elif step is not None and not 0 < step <= high - low:
            fault = f"step must be above 0 and at most {high - low:g}, but it is {step:g}."
        elif (step or (1 if whole else None)) and (high - low) / (step or 1) > MOST_VALUES:
            fault = f"the range has more than {MOST_VALUES:,} steps. Choose a larger step."
        if fault:
            self._fault(key, fault)
            return None
        return Range(low, high, log, step, whole)

    def _with_condition(
        self, key: str, domain: Choices | Range | None, condition: Any
    ) -> Dimension | None:
        if condition is None:
            return None if domain is None else Dimension(key, domain)
        if not isinstance(condition, dict) or not condition:
            text = "must be keys with their values, as in {optimizer.name: sgd}"
            self._fault(key, f"found {shown(condition)}; {text}.", "if")
            return None
        found = {}
        for other, values in condition.items():
            if other not in self._allowed:
                self._fault(key, _unknown(other), "if", other)
                return None
            found[other] = tuple(values) if isinstance(values, list) else (values,)
        return None if domain is None else Dimension(key, domain, found)


def _unknown(key: str) -> str:
    if key in SECTIONS:
        return "keys are dotted here, as in optimizer.learning_rate."
    return nearest_key(tuple(key.split(".")))


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)
