"""Check a configuration that is made of a file and of `--set` changes.

All faults are reported at once, each with its line or option, what was found and what is allowed.
`schema` defines what is allowed, and `describe` puts it into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.describe import options
from mlp_cli.config.hints import SECTIONS
from mlp_cli.config.notes import kept_note
from mlp_cli.config.places import Change, Place, Places
from mlp_cli.config.schema import Config
from mlp_cli.config.suggestions import Suggestions
from mlp_cli.config.wording import not_allowed, short, shown
from mlp_cli.config.yaml12 import MAX_DEPTH, REFUSED, Document, KeyPath, parse
from mlp_cli.errors import ConfigError

MAX_FAULTS = 50  # are listed; the rest is counted


class Source:
    """Collects a configuration's data, the place of each key, and the faults."""

    def __init__(self, origin: str) -> None:
        self.data: Any = {}
        self._before: Any = {}  # the data without the changes
        self._places = Places(origin)
        self._faults: list[tuple[Place, str]] = []
        self._wrong: set[KeyPath] = set()  # the keys and sections with a fault; () is all of them

    def add_file(self, document: Document) -> None:
        """Add the file, with its faults. It comes before any change."""
        self._places.add_lines(document.lines)
        for fault in document.faults:
            self._fault(self._places.line(fault.line), fault.path, fault.text)
        if document.value is None:
            self._fault(self._places.origin, (), "the file is empty. Write {} for all defaults.")
        elif document.value is REFUSED:
            self._wrong.add(())
        else:
            self.add_data(document.value)

    def add_data(self, data: Any) -> None:
        """Add the data. If they come from no file, their lines are unknown."""
        if isinstance(data, dict):
            self.data, self._before = data, deepcopy(data)
        else:
            self._wrong.add(())
            self._fault(self._places.of(()), (), "not a mapping. Write `key: value` lines.")

    def add_change(self, number: int, change: str) -> None:
        """Apply the change of a `--set`; the first is number 0."""
        place = self._places.of_change(number, f"--set {change}")
        key, equals, text = change.partition("=")
        path = self._checked_path(key if equals else "", place)
        if path is None:
            return
        document = parse(text)
        for fault in document.faults:
            self._fault(place, (*path, *fault.path), fault.text)
        if document.value is not REFUSED:
            self._places.add_change(place, Change(path, document.value))
            self._change(path, document.value, place)

    def add_value(self, number: int, key: str, value: Any) -> None:
        """Apply a change that Python code asks for; the first is number 0."""
        place = self._places.of_change(number, f"set {key}")
        path = self._checked_path(str(key), place)
        if path is not None:
            self._places.add_change(place, Change(path, value, by_python=True))
            self._change(path, value, place)

    def add_sweep_value(self, line: int, name: str, key: str, value: Any) -> None:
        """Apply a change that a sweep makes, in a line of its file; `name` shows the place."""
        place, path = self._places.of_sweep(line, name), tuple(key.split("."))
        self._places.add_change(place, Change(path, value, by_sweep=True))
        self._change(path, value, place)

    def _checked_path(self, key: str, place: Place) -> KeyPath | None:
        """Return the path of a dotted key, or None after noting its fault. Blanks do not count."""
        path = tuple(part.strip() for part in key.split("."))
        fault = None
        if not all(part and part.isprintable() for part in path):
            fault = "not of the form KEY=VALUE, such as training.epochs=3."
        elif len(path) > MAX_DEPTH:
            fault = f"the key is nested more than {MAX_DEPTH} levels deep. Shorten it."
        if fault is not None:
            self._fault(place, (), fault)
            return None
        return path

    def _change(self, path: KeyPath, value: Any, place: Place) -> None:
        """Set the value at a path. A mapping changes only the keys that it names."""
        is_section = len(path) == 1 and path[0] in SECTIONS
        if is_section and value is None:
            text = (
                f"null would reset the whole section. Change its keys, as in {path[0]}.KEY=VALUE."
            )
            self._fault(place, path, text)
            return
        if isinstance(value, dict) and (value or is_section):
            for key, part in value.items():
                self._change((*path, key), part, place)
            return
        section = self.data
        for depth, key in enumerate(path[:-1], 1):
            if not isinstance(section.get(key), dict):
                section[key] = {}
                self._places.add(path[:depth], place)
            section = section[key]
        section[path[-1]] = value
        self._places.add(path, place)

    def origin_of(self, key: str) -> str | None:
        """Return the line or option that gives a dotted key; None if it has its default."""
        return self._places.origin_of(tuple(key.split(".")))

    def config(self) -> Config:
        """Return the checked configuration.

        Raises
        ------
        ConfigError
            If there is any fault.
        """
        config = self.check()
        if config is None or self._faults:
            raise ConfigError(
                list_faults(self._places.origin.name, self.faults(), self.kept_note())
            )
        return config

    def check(self) -> Config | None:
        """Return the configuration, or None after noting its faults."""
        # A section whose lines are all commented out is null, and means its defaults.
        given = {
            key: value
            for key, value in self.data.items()
            if value is not None or key not in SECTIONS
        }
        try:
            return Config.model_validate(given)
        except ValidationError as error:
            known = {option.key: option.allowed for option in options()}
            entries = error.errors(include_url=False)
            wrong = {entry["loc"]: entry["type"] for entry in entries}
            suggestions = Suggestions(self._before, self.data, self._places, wrong)
            for entry in entries:
                self._add_invalid(entry, known, suggestions)
            self._add_conflicts(given)
            return None

    def faults(self) -> list[str]:
        """Return the faults, each after its place, in the order of the places."""
        ordered = sorted(self._faults, key=lambda fault: fault[0].order)
        return [f"{place.name}: {text}" for place, text in ordered]

    def kept_note(self) -> str:
        """Return which values stay although changes replace what they were given for, or ""."""

        def place(key: str) -> str | None:
            path = tuple(key.split("."))
            return None if self._places.change(path) else self._places.of(path).name

        return kept_note(self._before, self.data, place, python=self._places.by_python)

    def _add_invalid(self, entry: Any, known: dict[str, str], suggestions: Suggestions) -> None:
        """Add the fault that one of pydantic's errors describes."""
        kind, found, path = entry["type"], entry["input"], entry["loc"]
        if kind == "conflicts":
            return
        if len(path) > 1 and path[0] in CHOICES:  # pydantic inserts the chosen name
            path = (path[0], *path[2:])
        if kind == "union_tag_invalid":
            for common in _common_errors(path[0], found):
                self._add_invalid(common, known, suggestions)
            self._wrong.add(path)
            path, found = (*path, "name"), found["name"]
        if kind == "extra_forbidden":
            text = suggestions.unknown(path)
        elif kind == "no_folder":
            text = f"found {shown(found)}, which {entry['msg']}. Give an absolute path."
        elif kind == "path":
            text = entry["msg"]
        else:
            text = not_allowed(path, found, known) + suggestions.instead(path)
        self._fault(self._places.of(path), path, text)

    def _add_conflicts(self, given: dict[str, Any]) -> None:
        """Add the conflicts between keys that have no fault of their own."""
        try:
            Config.model_validate(_without(given, self._wrong))
        except ValidationError as error:
            for conflict in error.errors(include_url=False)[0]["ctx"]["found"]:
                paths = [tuple(key.split(".")) for key in conflict.keys]
                if any(path[:n] in self._wrong for path in paths for n in range(3)):
                    continue
                given_one = next((path for path in paths if path in self._places), paths[0])
                self._fault(self._places.of(given_one), paths[0], conflict.text)

    def _fault(self, place: Place, path: KeyPath, text: str) -> None:
        if path:
            self._wrong.add(path[:2])
        key = ".".join(map(str, path))
        key = short(key if key == key.strip() else f"'{key}'")
        self._faults.append((place, f"{key}: {text}" if key else text))


def list_faults(origin: str, faults: Sequence[str], note: str = "") -> str:
    """Return one message for all faults of what `origin` names, with a note at its end."""
    listed = list(faults[:MAX_FAULTS])
    if len(faults) > MAX_FAULTS:
        listed.append(f"and {len(faults) - MAX_FAULTS} more.")
    if len(listed) > 1:
        listed.insert(0, f"{origin}: {len(faults)} faults.")
    return "\n  ".join([*listed, *([note] if note else [])])


def _common_errors(section: str, data: dict[str, Any]) -> list[Any]:
    """Return the errors that pydantic reports in a section whatever `name` is chosen."""
    common: dict[Any, Any] = {}
    for number, (name, model) in enumerate(CHOICES[section].items()):
        found = {}
        try:
            model.model_validate({**data, "name": name})
        except ValidationError as error:
            for entry in error.errors(include_url=False):
                found[entry["type"], entry["loc"]] = {
                    **entry,
                    "loc": (section, name, *entry["loc"]),
                }
        common = {key: found[key] for key in found if not number or key in common}
    return list(common.values())


def _without(section: dict[str, Any], wrong: set[KeyPath], path: KeyPath = ()) -> dict[str, Any]:
    """Return a section without the keys that are wrong."""
    return {
        key: _without(value, wrong, (*path, key)) if isinstance(value, dict) else value
        for key, value in section.items()
        if (*path, key) not in wrong
    }
