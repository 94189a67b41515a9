"""The faults of a sweep file, each with its line."""

from __future__ import annotations

from collections.abc import Mapping

from mlp_cli.config.yaml12 import KeyPath
from mlp_cli.errors import visible


class Faults:
    """Collects faults. `lines` has the line of each key of the sweep file `origin`."""

    def __init__(self, origin: str, lines: Mapping[KeyPath, int]) -> None:
        self.origin, self.lines = origin, lines
        self._found: dict[str, int] = {}  # each fault once, with its position in the report

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or of what it belongs to."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def name(self, path: KeyPath) -> str:
        """Return the place of a key for a message."""
        return f"{self.origin}:{self.line(path)}"

    def add(self, path: KeyPath, text: str) -> None:
        """Add a fault of a key."""
        self.at_line(self.line(path), path, text)

    def at_line(self, line: int, path: KeyPath, text: str) -> None:
        """Add a fault whose line is known."""
        key = visible(".".join(map(str, path)))
        self.elsewhere(f"{self.origin}:{line}", f"{key}: {text}" if key else text, line)

    def elsewhere(self, place: str, text: str, order: int = 0) -> None:
        """Add a fault of another file, or with a text that names its key."""
        self._found.setdefault(f"{place}: {text}", order)

    def add_text(self, fault: str) -> None:
        """Add a fault of a configuration that begins with its place."""
        order = fault.removeprefix(f"{self.origin}:").partition(":")[0]
        self._found.setdefault(fault, int(order) if order.isdecimal() else 0)

    @property
    def listed(self) -> list[str]:
        """All faults, in the order of their lines; those of another file come first."""
        return sorted(self._found, key=lambda fault: self._found[fault])
