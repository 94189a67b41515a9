"""How a message shows what a configuration holds, and says what is allowed instead."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.yaml12 import KeyPath, dump, scalar
from mlp_cli.errors import closest, visible


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
    text = f"found {shown(found)}; must be {allowed}."
    is_quoted = isinstance(found, str) and type(scalar(found)) in (int, float)
    if is_quoted and ("number" in allowed or "integer" in allowed):
        text += " The quotes make it text."
    return text


def shown(value: Any) -> str:
    """Return a value of a configuration as YAML writes it, on one line and not too long."""
    if isinstance(value, dict):
        return "a mapping"
    return _shown_text(value) if isinstance(value, str) else short(dump([value]).strip()[1:-1])


@lru_cache(100)  # a list may hold the same wrong text thousands of times
def _shown_text(text: str) -> str:
    if not text.isprintable():
        return short(f"'{text}'")
    return short(dump([text]).strip()[1:-1])


def short(text: str) -> str:
    """Return the start of a text, on one line."""
    text = visible(text)
    return text if len(text) <= 80 else f"{text[:77]}..."
