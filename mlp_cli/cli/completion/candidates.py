"""What may complete the value of an option or argument: keys, values, configurations and runs.

Each function is called as Click calls `shell_complete`: with the context, the parameter and the
start of a value. Paths are left to the shell.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Items = list["CompletionItem[Any]"]  # not generic in Click 8.1

PATH_KEY = "data.path"


def complete_change(ctx: click.Context, param: click.Parameter, start: str) -> Items:
    """Return the keys for KEY=VALUE, or after `=` the values of the key that have a name."""
    key, equals, value = start.partition("=")
    if not equals:
        return [item for item in _keys("=") if item.value.startswith(start)]
    if key == PATH_KEY:
        return [CompletionItem(value, type="dir")]

    from mlp_cli.config.describe import options

    names = next((option.names for option in options() if option.key == key), ())
    return [CompletionItem(f"{key}={name}") for name in names if name.startswith(value)]


def complete_key(ctx: click.Context, param: click.Parameter, start: str) -> Items:
    """Return the keys of a configuration, and its sections."""
    from mlp_cli.config.hints import SECTIONS

    found = [*map(CompletionItem, sorted(SECTIONS)), *_keys()]
    return [item for item in found if item.value.startswith(start)]


def complete_sort(ctx: click.Context, param: click.Parameter, start: str) -> Items:
    """Return what `compare` can sort by: its columns and the keys of a configuration."""
    columns = ["run", "state", "n", "val_error", "test_error", "seconds"]
    found = [*map(CompletionItem, columns), *_keys()]
    return [item for item in found if item.value.startswith(start)]


def complete_config(ctx: click.Context, param: click.Parameter, start: str) -> Items:
    """Return the shipped configurations, and the files."""
    from mlp_cli.config.shipped import shipped_configs

    found = [CompletionItem(each.name, help=each.description) for each in shipped_configs()]
    return [
        *(item for item in found if item.value.startswith(start)),
        CompletionItem(start, type="file"),
    ]


def complete_out(ctx: click.Context, param: click.Parameter, start: str) -> Items:
    """Return the runs to continue or replace, if `train` is to do that, and else the folders."""
    again = ctx.params.get("resume") or ctx.params.get("overwrite")
    return _runs(["env.json"], start, "dir") if again else [CompletionItem(start, type="dir")]


def _runs(marks: Sequence[str], start: str, otherwise: str) -> Items:
    """Return the folders that hold one of the files `marks`; if there is none, ask for paths.

    They lie in the folder that the path `start` names, or if it names none also in `runs`.
    """
    parents = {f"{start.rpartition('/')[0]}/" if "/" in start else ""}
    if "runs/".startswith(start):
        parents.add("runs/")
    found = []
    for parent in parents:
        with suppress(OSError):
            found += [
                f"{parent}{path.name}" for path in Path(parent).iterdir() if _has(path, marks)
            ]
    items = [CompletionItem(path) for path in sorted(found) if path.startswith(start)]
    return items or [CompletionItem(start, type=otherwise)]


def _has(folder: Path, marks: Sequence[str]) -> bool:
    with suppress(OSError):
        return any((folder / mark).exists() for mark in marks)
    return False


def _complete_runs(
    marks: Sequence[str], ctx: click.Context, param: click.Parameter, start: str
) -> Items:
    return _runs(marks, start, "file")


complete_network = partial(_complete_runs, ["best.npz"])  # what can be scored
complete_run_or_sweep = partial(_complete_runs, ["env.json", "sweep.yaml"])


def _keys(end: str = "") -> Items:
    """Return the keys of a configuration, each with `end` behind it and its meaning beside it."""
    from mlp_cli.config.describe import options

    return [
        CompletionItem(
            f"{option.key}{end}", help=option.description.partition(". ")[0].removesuffix(".")
        )
        for option in options()
    ]
