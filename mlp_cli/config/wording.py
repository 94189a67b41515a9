"""How a message shows what a configuration holds, and says what is allowed instead."""

from __future__ import annotations

from typing import Any

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.yaml12 import KeyPath, dump, scalar
from mlp_cli.errors import closest, did_you_mean, visible


def not_allowed(path: KeyPath, found: Any, known: dict[str, str]) -> str:
    """Return the message for a wrong value: what was found, and what is allowed."""
    key = ".".join(str(part) for part in path if isinstance(part, str))
    if key not in known:
        name = closest(found, CHOICES.get(key, ())) if isinstance(found, str) else ""
        hint = f" Did you mean {{name: {name}}}?" if name else ""
        return f"found {shown(found)}; must be a mapping of keys.{hint}"
    allowed = known[key]
    if isinstance(path[-1], int):  # an item of a list
        allowed = allowed.partition("each ")[2]
    return f"found {shown(found)}; must be {allowed}.{_hint(allowed, found)}"


def _hint(allowed: str, found: Any) -> str:
    """Return a hint about the likeliest mistake, or an empty text."""
    wants_number = "number" in allowed or "integer" in allowed
    if isinstance(found, str):
        meaning = scalar(found)
        if wants_number and isinstance(meaning, int | float) and not isinstance(meaning, bool):
            return f" The quotes make it text: write {found}."
        names = allowed.removeprefix("one of ").replace(", or null", "").split(", ")
        return did_you_mean(found, names)
    if "integer" in allowed and isinstance(found, float) and found.is_integer():
        return f" Write {int(found)}."
    return ""


def shown(value: Any) -> str:
    """Return a value of a configuration as YAML writes it, on one line and not too long."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, str) and not value.isprintable():
        return short(f"'{value}'")
    return short(dump([value]).strip()[1:-1])


def short(text: str) -> str:
    """Return the start of a text, on one line."""
    text = visible(text)
    return text if len(text) <= 80 else f"{text[:77]}..."
