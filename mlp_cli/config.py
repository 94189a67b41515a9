"""Configurations: from a file and `--set` into a checked `Config`, and back.

Everything that is wrong is reported at once, each fault with the line or option it stands in, what
was found and what is allowed. `settings` says what that is; `yaml12` says what the text means.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from mlp_cli.errors import ConfigError
from mlp_cli.settings import CHOICES, Config
from mlp_cli.yaml12 import REFUSED, Document, KeyPath, dump, parse, read, scalar

__all__ = [
    "Config",
    "Option",
    "differences",
    "dump_config",
    "from_dict",
    "json_schema",
    "load_config",
    "options",
]

MAX_FAULTS = 50  # listed; more are counted

# Names from elsewhere that no likeness of letters would find.
SYNONYMS = {
    "l2": "optimizer.weight_decay",
    "layers": "model.hidden",
    "lr": "optimizer.learning_rate",
}


class Option(NamedTuple):
    """A key of a configuration: its default, what is allowed and what it means, in words."""

    key: str
    default: str
    allowed: str
    description: str


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration from a file, with changes of the form `training.epochs=3`.

    A change's value is YAML; a mapping changes the keys it names; of two changes the later wins.

    Raises
    ------
    ConfigError
        If the file is not there or anything in it, or in a change, is wrong: all faults at once.
    StorageError
        If the system does not let the file be read.
    """
    source = _Source(str(path))
    source.add_file(parse(read(Path(path))))
    for number, change in enumerate(overrides):
        source.add_change(number, change)
    return source.config()


def from_dict(data: Mapping[str, Any], origin: str) -> Config:
    """Check a configuration that was embedded elsewhere; `origin` names that in messages.

    Raises
    ------
    ConfigError
        If anything in it is wrong.
    """
    source = _Source(origin)
    source.data = data
    return source.config()


def dump_config(config: Config) -> str:
    """Return YAML that `load_config` reads as an equal configuration, defaults written out."""
    return dump(config.to_dict())


def differences(a: Config, b: Config) -> list[str]:
    """Return the dotted keys in which two configurations differ.

    Keys that only one of them has are left out: the `name` that brought them differs too.
    """
    ours, theirs = dict(_leaves(a.to_dict())), dict(_leaves(b.to_dict()))
    return [key for key in ours if key in theirs and ours[key] != theirs[key]]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
        "title": "Configuration of mlp",
    }


def options() -> list[Option]:
    """Return every key, in the order of a configuration."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    schema = Config.model_json_schema()

    def walk(properties: dict[str, Any], prefix: str, choice: str) -> None:
        for name, entry in properties.items():
            parts = [entry] if "$ref" in entry else entry.get("oneOf", [])
            for part in parts:
                section = schema["$defs"][part["$ref"].rpartition("/")[2]]
                chosen = section["properties"].get("name", {}).get("const", "")
                walk(section["properties"], f"{prefix}{name}.", chosen)
            if not parts:
                found.setdefault(prefix + name, []).append((choice, entry))

    walk(schema["properties"], "", "")
    return [_option(key, entries) for key, entries in found.items()]


def _option(key: str, entries: list[tuple[str, dict[str, Any]]]) -> Option:
    """Describe a key from its entry in the schema of each choice that has it."""
    first = entries[0][1]
    section, _, name = key.rpartition(".")
    if "const" in first:
        names = [entry["const"] for _, entry in entries]
        return Option(key, str(first["default"]), f"one of {', '.join(names)}", first["description"])
    choices: dict[str, list[str]] = {}
    for choice, entry in entries:
        choices.setdefault(dump([entry["default"]]).strip()[1:-1], []).append(choice)
    everywhere = len(choices) == 1 and len(entries) == len(CHOICES.get(section, [""]))
    defaults = [
        value if everywhere else f"{value} ({', '.join(names)})" for value, names in choices.items()
    ]
    return Option(key, ", ".join(defaults), _allowed(first), first["description"])


def _allowed(entry: dict[str, Any]) -> str:
    """Return in words what an entry of the JSON Schema allows."""
    if "anyOf" in entry:
        return ", or ".join(_allowed(part) for part in entry["anyOf"])
    if "enum" in entry:
        return f"one of {', '.join(entry['enum'])}"
    if "const" in entry:
        return str(entry["const"])
    if entry["type"] == "array":
        return f"a list of at most {entry['maxItems']}, each {_allowed(entry['items'])}"
    words = {
        "boolean": "true or false",
        "integer": "an integer",
        "null": "null",
        "number": "a number",
        "string": "text",
    }
    bounds = [
        f"{word} {entry[bound]}"
        for bound, word in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if bound in entry
    ]
    return " ".join([words[entry["type"]], " and ".join(bounds)]).strip()


def _leaves(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
