"""The lines that messages offer to paste: `--set` options, or YAML. Messages put them in backticks.

Each is one line. A line that would be long or hold control characters is not offered.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from mlp_cli.config.yaml12 import KeyPath, dump

LONGEST = 200


def as_changes(found: Mapping[str, Any], *, python: bool = False) -> str:
    """Return the options `--set`, or the argument `set` of Python, that make these changes."""
    if python:
        return _quoted(f"set={dict(found)!r}")
    return _quoted(" ".join(f"--set {shlex.quote(change)}" for change in changes(found)))


def changes(found: Mapping[str, Any]) -> list[str]:
    """Return texts KEY=VALUE for values by dotted key, as `--set` takes them."""
    return [f"{key}={_yaml(value)}" for key, value in found.items()]


def as_yaml(
    found: Mapping[str, Any],
    path: KeyPath,
    places: Mapping[str, str],
    moved: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return the lines that give these keys in a file, in place of the line of a wrong key.

    Parameters
    ----------
    found
        Values by dotted key.
    path
        The path of the wrong key.
    places
        The lines of the file's sections.
    moved
        All keys that belong into sections that the file does not have. They are shown together,
        because a section may be given only once.
    """
    sections: dict[str, dict[str, Any]] = {}
    for key, value in found.items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = value
    lines = []
    for section, keys in sections.items():
        if not section or (len(path) > 1 and path[0] == section):
            lines.append(_quoted(_entries(keys)))
        elif section in places:
            lines.append(f"{_quoted(_entries(keys))} under {section} ({places[section]})")
        else:
            lines.append(_quoted(f"{section}: {{{_entries({**moved.get(section, {}), **keys})}}}"))
    return " and ".join(lines) if all("`" in line for line in lines) else ""


def _entries(keys: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {_yaml(value)}" for key, value in keys.items())


def _yaml(value: Any) -> str:
    return dump([value]).strip()[1:-1]


def _quoted(line: str) -> str:
    return f"`{line}`" if len(line) <= LONGEST and line.isprintable() and "`" not in line else ""
