"""What a wrong command line probably means: the whole line that would have worked.

`corrected_line` is asked only after an error. It finds the command; `corrections` corrects the
command's options and arguments.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from mlp_cli.cli.corrections import Corrections, UnclearError
from mlp_cli.errors import MlpError, closest

LONGEST = 300

# The words of other programs for each command.
COMMANDS = {
    "config explain": "explain keys",
    "config list": "configs list ls",
    "config preview": "preview",
    "config schema": "schema",
    "config show": "show",
    "download-data": "download download_data download-mnist fetch get-data",
    "eval": "evaluate evaluation score test testing val validate",
    "gradcheck": "check checkgrad grad-check gradient-check",
    "train": "fit learn run start training",
}
GLOBAL = {"-V": "--version", "-v": "--version", "help": "--help", "version": "--version"}


class Hint(NamedTuple):
    """A whole command line that works, and why it leaves something out, or ""."""

    line: str
    reason: str

    def __str__(self) -> str:
        """Return the end of a message."""
        return f"{self.reason} Write `{self.line}`.".strip()


def corrected_line(program: click.Group, words: Sequence[str]) -> Hint | None:
    """Return the command line that was probably meant, or None if that is not clear.

    Parameters
    ----------
    program
        The group `mlp`.
    words
        What follows `mlp` on the command line.
    """
    reason = ""
    try:
        names, command, changed = _find_command(program, words)
        if not isinstance(command, click.Group):
            corrected = Corrections(command, changed)
            changed, reason = corrected.result, corrected.reason
            if names == ["eval"] and not corrected.has_run:
                if (run := _newest_run()) is None:
                    return Hint("mlp train mnist", "There is no run yet.")
                changed = [*changed, run]
    except UnclearError:
        return None
    changed = [*names, *changed]
    line = shlex.join(["mlp", *changed])
    if changed == [*words] or len(line) > LONGEST or not line.isprintable() or "`" in line:
        return None
    return Hint(line, reason)


def _find_command(
    program: click.Group, words: Sequence[str]
) -> tuple[list[str], click.Command, list[str]]:
    """Return the names of a command, the command, and its options and arguments.

    Options that are given before the name of the command are moved behind it.

    Raises
    ------
    UnclearError
        If it is not clear which command is meant.
    """
    names: list[str] = []
    command: click.Command = program
    moved: list[str] = []
    rest = deque(words)
    while isinstance(command, click.Group):
        if not rest:
            moved = [GLOBAL.get(word, word.lower()) for word in moved]
            if moved not in (["--help"], ["--version"]):
                raise UnclearError
            break
        word = rest.popleft()
        meant = _command_meant(command, word)
        if word in ("help", "version"):
            moved.append(GLOBAL[word])
        elif word.startswith("-"):
            moved.append(word)
            has_value = "=" not in word and rest and not rest[0].startswith("-")
            if has_value and not _command_meant(command, rest[0]):
                moved.append(rest.popleft())
        elif not meant and command is program and _is_config(word):
            rest.extendleft([word, "train"])
        else:
            meant = meant or [closest(word, command.commands)]
            if meant[0] not in command.commands:
                raise UnclearError
            first, *others = meant
            rest.extendleft(reversed(others))
            names.append(first)
            command = command.commands[first]
    return names, command, [*moved, *rest]


def _command_meant(group: click.Group, word: str) -> list[str]:
    """Return the words of the command that a word stands for; none if it stands for no command."""
    if word in group.commands:
        return [word]
    for command, words in COMMANDS.items():
        *parents, name = command.split()
        if word.lower() in words.split():
            if group.name in parents:
                return [name]
            if [*parents, name][0] in group.commands:
                return [*parents, name]
    return []


def _newest_run() -> str | None:
    try:
        found = list(Path("runs").glob("*/best.npz"))
        return str(max(found, key=lambda path: path.stat().st_mtime_ns).parent) if found else None
    except OSError:  # such as a run that is being removed
        return None


def _is_config(word: str) -> bool:
    from mlp_cli.config.shipped import find_config

    try:
        return find_config(Path(word)).is_file()
    except MlpError:
        return False
