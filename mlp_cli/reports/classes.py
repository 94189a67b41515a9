"""Classes by their names, escaped and not too long."""

from __future__ import annotations

from collections.abc import Sequence

from mlp_cli.errors import visible

LONGEST = 24  # characters of a name
NARROW = 11  # if little room is left, as over a column of numbers


def shown_class(label: int, names: Sequence[str], most: int = LONGEST) -> str:
    """Return the name of a class, or its number if the classes have no names.

    Of a name with more than `most` characters, the end is left out.
    """
    if not names:
        return str(label)
    name = visible(names[label])
    return name if len(name) <= most else f"{name[: most - 1]}…"


def image_of(label: int, names: Sequence[str], most: int = LONGEST) -> str:
    """Return what an image of a class is called: the name of the class, or as in "a 3"."""
    return shown_class(label, names, most) if names else f"a {label}"
