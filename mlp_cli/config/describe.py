"""Every key of a configuration in words, and as a JSON Schema for editors.

Both are derived from the models in `schema`, so they always agree with them. Messages and the
documentation's table of keys use these words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.schema import Config
from mlp_cli.config.yaml12 import dump

WORDS = {"boolean": ["true", "false"], "null": ["null"]}  # the values of a type, by its name


class Option(NamedTuple):
    """A key of a configuration: its default, the allowed values and its meaning, in words.

    `names` are the allowed values that are words, such as `relu`, `true` and `null`.
    """

    key: str
    default: str
    allowed: str
    description: str
    names: tuple[str, ...]


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
    """Describe a key by its entries: one for each choice that has the key."""
    first = entries[0][1]
    section = key.rpartition(".")[0]
    if "const" in first:
        names = tuple(entry["const"] for _, entry in entries)
        allowed = f"one of {', '.join(names)}"
        return Option(key, str(first["default"]), allowed, first["description"], names)
    choices: dict[str, list[str]] = {}
    for choice, entry in entries:
        choices.setdefault(dump([entry["default"]]).strip()[1:-1], []).append(choice)
    everywhere = len(choices) == 1 and len(entries) == len(CHOICES.get(section, [""]))
    defaults = [
        value if everywhere else f"{value} ({', '.join(names)})" for value, names in choices.items()
    ]
    names = tuple(_names(first))
    return Option(key, ", ".join(defaults), _allowed(first), first["description"], names)


def _names(entry: dict[str, Any]) -> Iterator[str]:
    """Yield the allowed values that are words."""
    for part in entry.get("anyOf", [entry]):
        if "const" in part:
            yield part["const"]
        yield from part.get("enum", WORDS.get(part.get("type"), ()))


def _allowed(entry: dict[str, Any]) -> str:
    """Return the values that an entry of the JSON Schema allows, in words."""
    if "anyOf" in entry:
        return ", or ".join(_allowed(part) for part in entry["anyOf"])
    if "enum" in entry:
        return f"one of {', '.join(entry['enum'])}"
    if "const" in entry:
        return str(entry["const"])
    if entry["type"] == "array":
        if "prefixItems" in entry:
            of = entry["prefixItems"]
            return f"a list of {len(of)}, each {_allowed(of[0])}"
        least = f"{entry['minItems']} to " if "minItems" in entry else "at most "
        different = ", all different" if entry.get("uniqueItems") else ""
        return f"a list of {least}{entry['maxItems']}{different}, each {_allowed(entry['items'])}"
    if "pattern" in entry:
        return str(entry["description"])
    words = {
        "boolean": "true or false",
        "integer": "an integer",
        "null": "null",
        "number": "a number",
        "string": "text",
    }
    bounds = [
        # Pydantic before 2.11 makes 1.0 of a bound 1 if the key is a float.
        f"{word} {str(entry[bound]).removesuffix('.0')}"
        for bound, word in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if bound in entry
    ]
    return " ".join([words[entry["type"]], " and ".join(bounds)]).strip()
