"""Check a configuration that is made of a file and of `--set` changes.

All faults are reported at once, each with its line or option, what was found and what is allowed.
`schema` defines what is allowed, and `describe` puts it into words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import ValidationError

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.describe import options
from mlp_cli.config.schema import Config
from mlp_cli.config.wording import not_allowed, short, shown
from mlp_cli.config.yaml12 import (
    MAX_BYTES,
    MAX_DEPTH,
    REFUSED,
    Document,
    KeyPath,
    parse,
)
from mlp_cli.errors import ConfigError, closest

MAX_FAULTS = 50  # are listed; the rest is counted

SECTIONS = {key for key, field in Config.model_fields.items() if field.default_factory}

# Names from other programs, which are not similar enough to be suggested by their letters.
SYNONYMS = {
    "l2": "optimizer.weight_decay",
    "layers": "model.hidden",
    "lr": "optimizer.learning_rate",
}


class _Place(NamedTuple):
    """A line of the file or a `--set`, and its position in the order of the report."""

    order: int
    name: str


class Source:
    """Collects a configuration's data, the place of each key, and the faults."""

    def __init__(self, origin: str) -> None:
        self.data: Any = {}
        self._origin = _Place(0, origin)
        self._places: dict[KeyPath, _Place] = {}
        self._faults: list[tuple[_Place, str]] = []
        self._wrong: set[KeyPath] = set()  # the keys and sections with a fault; () is all of them

    def add_file(self, document: Document) -> None:
        """Add the file, with its faults. It comes before any change."""
        self._places = {path: self._line(line) for path, line in document.lines.items()}
        for fault in document.faults:
            self._fault(self._line(fault.line), fault.path, fault.text)
        if document.value is None:
            self._fault(self._origin, (), "the file is empty. Write {} for all defaults.")
        elif document.value is REFUSED:
            self._wrong.add(())
        else:
            self.add_data(document.value)

    def add_data(self, data: Any) -> None:
        """Add the data. If they come from no file, their lines are unknown."""
        if isinstance(data, dict):
            self.data = data
        else:
            self._wrong.add(())
            self._fault(self._place(()), (), "not a mapping. Write `key: value` lines.")

    def _line(self, line: int) -> _Place:
        return _Place(line, f"{self._origin.name}:{line}")

    def add_change(self, number: int, change: str) -> None:
        """Apply the change of a `--set`; the first is number 0."""
        place = _Place(MAX_BYTES + number, f"--set {short(change)}")  # after every line
        key, equals, text = change.partition("=")
        path = self._checked_path(key if equals else "", place)
        if path is None:
            return
        document = parse(text)
        for fault in document.faults:
            self._fault(place, (*path, *fault.path), fault.text)
        if document.value is not REFUSED:
            self._change(path, document.value, place)

    def add_value(self, number: int, key: str, value: Any) -> None:
        """Apply a change that Python code asks for; the first is number 0."""
        place = _Place(MAX_BYTES + number, f"set {short(str(key))}")
        path = self._checked_path(str(key), place)
        if path is not None:
            self._change(path, value, place)

    def _checked_path(self, key: str, place: _Place) -> KeyPath | None:
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

    def _change(self, path: KeyPath, value: Any, place: _Place) -> None:
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
                self._places[path[:depth]] = place
            section = section[key]
        section[path[-1]] = value
        self._places[path] = place

    def config(self) -> Config:
        """Return the checked configuration.

        Raises
        ------
        ConfigError
            If there is any fault.
        """
        # A section whose lines are all commented out is null, and means its defaults.
        given = {
            key: value
            for key, value in self.data.items()
            if value is not None or key not in SECTIONS
        }
        try:
            config = Config.model_validate(given)
        except ValidationError as error:
            known = {option.key: option.allowed for option in options()}
            for entry in error.errors(include_url=False):
                self._add_invalid(entry, known)
            self._add_conflicts(given)
        if not self._faults:
            return config
        ordered = sorted(self._faults, key=lambda fault: fault[0].order)
        listed = [f"{place.name}: {text}" for place, text in ordered[:MAX_FAULTS]]
        if len(self._faults) > MAX_FAULTS:
            listed.append(f"and {len(self._faults) - MAX_FAULTS} more.")
        if len(listed) > 1:
            listed.insert(0, f"{self._origin.name}: {len(self._faults)} faults.")
        raise ConfigError("\n  ".join(listed))

    def _add_invalid(self, entry: Any, known: dict[str, str]) -> None:
        """Add the fault that one of pydantic's errors describes."""
        kind, found, path = entry["type"], entry["input"], entry["loc"]
        if kind == "conflicts":
            return
        if len(path) > 1 and path[0] in CHOICES:  # pydantic inserts the chosen name
            path = (path[0], *path[2:])
        if kind == "union_tag_invalid":
            for common in _common_errors(path[0], found):
                self._add_invalid(common, known)
            self._wrong.add(path)
            path, found = (*path, "name"), found["name"]
        if kind == "extra_forbidden":
            text = self._unknown(path, list(known))
        elif kind == "no_folder":
            text = f"found {shown(found)}, which {entry['msg']}. Give an absolute path."
        elif kind == "path":
            text = entry["msg"]
        else:
            text = not_allowed(path, found, known)
        self._fault(self._place(path), path, text)

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
                self._fault(self._place(given_one), paths[0], conflict.text)

    def _unknown(self, path: KeyPath, known: list[str]) -> str:
        """Return the message for an unknown key, with a suggestion if there is one."""
        name, section = str(path[-1]), str(path[0])
        owners = [
            choice
            for choice, model in CHOICES.get(section, {}).items()
            if name in model.model_fields
        ]
        if len(path) == 2 and owners:
            chosen = shown(self.data[section].get("name") or next(iter(CHOICES[section])))
            return (
                f"belongs to {section}.name {' and '.join(owners)}, but the name is {chosen}. "
                f"Remove it, or clear it with --set {section}.{name}=null."
            )
        here = ".".join(map(str, path[:-1]))
        siblings = {
            key.removeprefix(f"{here}.").split(".")[0]
            for key in known
            if not here or key.startswith(f"{here}.")
        }
        elsewhere = {key.rpartition(".")[2]: key for key in reversed(known)} | SYNONYMS
        meant = ""
        if close := closest(name, siblings):
            meant = ".".join([*([here] if here else []), close])
        elif close := closest(name, elsewhere):
            meant = elsewhere[close]
        if meant:
            return f"unknown key. Did you mean {meant}?"
        return "unknown key. `mlp config schema` lists all keys."

    def _place(self, path: KeyPath) -> _Place:
        """Return the place of a key, or of the section that it belongs to."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places.get(path, self._origin)

    def _fault(self, place: _Place, path: KeyPath, text: str) -> None:
        if path:
            self._wrong.add(path[:2])
        key = ".".join(map(str, path))
        key = short(key if key == key.strip() else f"'{key}'")
        self._faults.append((place, f"{key}: {text}" if key else text))


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
