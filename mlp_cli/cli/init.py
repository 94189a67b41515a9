"""`mlp init`: write a configuration to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from mlp_cli.cli.options import GivenPath, HelpfulCommand, examples
from mlp_cli.cli.printing import show
from mlp_cli.storage.paths import STREAM


@click.command(
    cls=HelpfulCommand,
    short_help="Write a configuration to start from.",
    epilog=examples("mlp init", "mlp init mine.yaml", "mlp init - | less"),
)
@click.argument(
    "file",
    default=Path("mlp.yaml"),
    type=GivenPath(dir_okay=False, stream=True),
    metavar="[FILE]",
)
def init(file: Path) -> None:
    """Write a configuration to start from, with every key and its meaning.

    It is the shipped configuration `mnist`; all other keys are commented out, with their defaults.
    FILE is mlp.yaml if it is not given, and `-` is stdout. A file that is there is never replaced.
    """
    from mlp_cli.config.text import starting_text
    from mlp_cli.runs.progress import ProgressObserver
    from mlp_cli.storage.files import write_new

    if file == STREAM:
        show(starting_text().removesuffix("\n"))
        return
    write_new(file, starting_text().encode())
    show(file)
    ProgressObserver().log(f"next: mlp train --config {shlex.quote(str(file))}")
