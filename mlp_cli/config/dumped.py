"""Read configurations that the program wrote, about a hundred times faster than `load_config`.

`yaml12.dump` writes a configuration as lines `key: value`, in sections of one level, with each list
on one line. `DumpReader` reads exactly that form. Any other text goes through `load_config`, as
does a configuration that has faults.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlp_cli.config.load import load_config
from mlp_cli.config.reading import read
from mlp_cli.config.schema import Config
from mlp_cli.config.yaml12 import scalar

_LINE = re.compile(r"(  )?([a-z][a-z0-9_]*):(?: (.+))?")
_PLAIN = re.compile(r"(?:-?[0-9.]|[A-Za-z_/+])[A-Za-z0-9_./+-]*")
_SECTION = object()  # the value of a line that begins a section

_Entry = tuple[bool, str, Any]  # whether the line is in a section, its key and its value


class DumpReader:
    """Reads texts that `yaml12.dump` writes. Each different line is parsed once."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry | None] = {}

    def read(self, text: str) -> dict[str, Any] | None:
        """Return the value of a text, or None if it may be of another form.

        Equal lines of several texts share one list, so the lists must not be changed.
        """
        *lines, rest = text.split("\n")
        found: dict[str, Any] = {}
        section: dict[str, Any] | None = None
        for line in lines:
            if line not in self._entries:
                self._entries[line] = _entry(line)
            entry = self._entries[line]
            if entry is None:
                return None
            inside, key, value = entry
            if value is _SECTION:
                value = {}
            if not inside:
                target, section = found, value if isinstance(value, dict) else None
            elif section is None or isinstance(value, dict):
                return None
            else:
                target = section
            if key in target:
                return None
            target[key] = value
        return None if rest or not found or {} in found.values() else found


class ConfigReader:
    """Reads the configurations of many runs, quickly if they are as the program wrote them."""

    def __init__(self) -> None:
        self._dumped = DumpReader()

    def read(self, path: Path) -> Config:
        """Return the checked configuration in a file.

        Raises
        ------
        ConfigError
            If the file is missing, or if it has faults. The message lists all of them.
        StorageError
            If the file cannot be read.
        """
        data = self._dumped.read(read(path))
        if data is not None:
            try:
                return Config.model_validate(data)
            except ValidationError:
                pass  # `load_config` finds the faults too, and names their lines
        return load_config(path, warn=lambda _: None)  # its training was warned


def _entry(line: str) -> _Entry | None:
    """Return the content of a line, or None if it may be of another form."""
    match = _LINE.fullmatch(line)
    if match is None or scalar(match[2]) != match[2]:  # a key such as `null` is no text
        return None
    inside, key, text = match[1] is not None, match[2], match[3]
    if text is None:
        return inside, key, _SECTION
    if text.startswith("[") and text.endswith("]"):
        items = text[1:-1].split(", ") if text != "[]" else []
        return (inside, key, list(map(scalar, items))) if all(map(_is_plain, items)) else None
    return (inside, key, scalar(text)) if _is_plain(text) else None


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None
