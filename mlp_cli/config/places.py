"""Where each key of a configuration was given: on a line of the file, or by a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mlp_cli.config.wording import short
from mlp_cli.config.yaml12 import MAX_BYTES, KeyPath


class Place(NamedTuple):
    """A line of the file or a change, and its position in the order of a report."""

    order: int
    name: str


class Change(NamedTuple):
    """A change as it was given: by `--set`, by Python code, or by a sweep."""

    path: KeyPath
    value: Any
    by_python: bool = False
    by_sweep: bool = False


class Places:
    """The place of each key, and what was given at the places that are changes."""

    def __init__(self, origin: str) -> None:
        self.origin = Place(0, origin)
        self._of: dict[KeyPath, Place] = {}
        self._changes: dict[Place, Change] = {}

    def __contains__(self, path: KeyPath) -> bool:
        """Return whether the place of this very key is known."""
        return path in self._of

    def add_lines(self, lines: Mapping[KeyPath, int]) -> None:
        """Add the keys of the file, by their lines."""
        self._of |= {path: self.line(line) for path, line in lines.items()}

    def line(self, line: int) -> Place:
        """Return a line of the file as a place."""
        return Place(line, f"{self.origin.name}:{line}")

    @staticmethod
    def of_change(number: int, text: str) -> Place:
        """Return the place of the change of this number, counted from 0. It is after every line."""
        return Place(MAX_BYTES + number, short(text))

    @staticmethod
    def of_sweep(line: int, name: str) -> Place:
        """Return a line of a sweep file as a place, which is after every line of the file."""
        return Place(MAX_BYTES + line, name)

    def add_change(self, place: Place, change: Change) -> None:
        """Note what was given at the place of a change."""
        self._changes[place] = change

    def add(self, path: KeyPath, place: Place) -> None:
        """Note where a key was given. What its former value held has no place any more."""
        self._of = {other: of for other, of in self._of.items() if other[: len(path)] != path}
        self._of[path] = place

    def of(self, path: KeyPath) -> Place:
        """Return the place of a key, or of the section that it belongs to."""
        while path and path not in self._of:
            path = path[:-1]
        return self._of.get(path, self.origin)

    def change(self, path: KeyPath) -> Change | None:
        """Return the change that gives a key, or None if the key is in the file or in no place."""
        return self._changes.get(self.of(path))

    def origin_of(self, path: KeyPath) -> str | None:
        """Return the line or option that gives this very key; None if it has its default."""
        if path not in self._of:
            return None
        return "--set" if self.change(path) else self._of[path].name

    @property
    def by_python(self) -> bool:
        """Whether Python code asks for changes, so that messages show changes as Python."""
        return any(change.by_python for change in self._changes.values())

    @property
    def by_sweep(self) -> bool:
        """Whether a sweep makes changes, so that messages show changes as its file has them."""
        return any(change.by_sweep for change in self._changes.values())
