"""The line to write in place of a wrong key or value of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.hints import SECTIONS, UNKNOWN, meant, nearest_key
from mlp_cli.config.lines import as_changes, as_yaml
from mlp_cli.config.places import Places
from mlp_cli.config.wording import shown
from mlp_cli.config.yaml12 import KeyPath

MOST_EXPLAINED = 200  # unknown keys


class Suggestions:
    """Says what to write instead, for a file as YAML, and for a change as a change.

    Parameters
    ----------
    before, data
        The data without and with the changes. They may hold faults.
    places
        The place of each key.
    wrong
        The paths of what is wrong, with pydantic's name of the fault.
    """

    def __init__(
        self,
        before: Mapping[str, Any],
        data: Mapping[str, Any],
        places: Places,
        wrong: Mapping[KeyPath, str],
    ) -> None:
        self._data, self._places = data, places
        self._found: dict[KeyPath, str] = {}
        self._sections = {
            name: places.of((name,)).name
            for name in SECTIONS
            if isinstance(before.get(name), Mapping)
        }
        # What belongs into a section that the file does not have, from all places of the file: one
        # line has to give it all, as a section may be given only once.
        self._moved: dict[str, dict[str, Any]] = {}
        # What a key means takes a millisecond to find, and thousands of unknown keys are no slips.
        self._explains_keys = [*wrong.values()].count("extra_forbidden") <= MOST_EXPLAINED
        for path in wrong if self._explains_keys else ():
            if len(path) == 1 and not places.change(path):
                for key, value in meant(path, data.get(str(path[0]))).items():
                    section, _, name = key.rpartition(".")
                    self._moved.setdefault(section, {})[name] = value

    def unknown(self, path: KeyPath) -> str:
        """Return the message for a key that does not exist, or not for the choice that is made."""
        if not self._explains_keys:
            return UNKNOWN
        return self._belongs(path) or nearest_key(path) + self.instead(path)

    def instead(self, path: KeyPath) -> str:
        """Return the end of a message about a wrong key or value, or "" if nothing is likely."""
        key = tuple(part for part in path if isinstance(part, str))
        if key not in self._found:  # a list with thousands of wrong items is looked at once
            self._found[key] = self._instead(key)
        return self._found[key]

    def _instead(self, key: KeyPath) -> str:
        value: Any = self._data
        for name in key:
            value = value.get(name) if isinstance(value, Mapping) else None
        change = self._places.change(key)
        found = meant(change.path, change.value) if change else meant(key, value)
        same = found.get(".".join(map(str, key)))
        text = f" Did you mean {same}?" if isinstance(value, str) and isinstance(same, str) else ""
        if not found:
            return ""
        line = ""
        if change:
            line = "" if change.by_sweep else as_changes(found, python=change.by_python)
        elif self._places.of(key) != self._places.origin and not self._is_given(found, key):
            line = as_yaml(found, key, self._sections, self._moved)
        return f"{text} Write {line}." if line else text

    def _belongs(self, path: KeyPath) -> str:
        """Return the message for a key of another choice, or "" if it is no such key."""
        name, section = str(path[-1]), str(path[0])
        owners = [
            choice
            for choice, model in CHOICES.get(section, {}).items()
            if name in model.model_fields
        ]
        if len(path) != 2 or not owners:
            return ""
        chosen = shown(self._data[section].get("name") or next(iter(CHOICES[section])))
        change = self._places.change(path)
        if change and change.by_sweep:
            return (
                f"belongs to {section}.name {' and '.join(owners)}, but a trial's name is {chosen}."
                f" Remove it, or search it only `if: {{{section}.name: {owners[0]}}}`."
            )
        if self._places.by_sweep:
            return (
                f"belongs to {section}.name {' and '.join(owners)}, but a trial's name is {chosen}."
                f" Write `{section}.{name}: null` under `set` of the sweep."
            )
        remedy = {f"{section}.name": owners[0]} if change else {f"{section}.{name}": None}
        line = as_changes(remedy, python=self._places.by_python)
        return (
            f"belongs to {section}.name {' and '.join(owners)}, but the name is {chosen}. "
            f"Remove it, or add {line}."
        )

    def _is_given(self, found: Iterable[str], path: KeyPath) -> bool:
        """Return whether the file gives one of the keys already, elsewhere than at `path`."""
        paths = [tuple(key.split(".")) for key in found]
        return any(other in self._places and other != path for other in paths)
