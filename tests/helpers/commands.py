"""All commands of `mlp`, by their names."""

from __future__ import annotations

import click


def walk(group: click.Group, path: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Return the commands of a group and of the groups in it, as `config show`."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= walk(command, (*path, name))
        else:
            found[" ".join((*path, name))] = command
    return found
