"""What the commands share: their options, and their lines of progress."""

from __future__ import annotations

import sys
from pathlib import Path

import click

SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("data/mnist"),
    help="Folder of MNIST's four files, raw or gzipped.",
)
repeats_option = click.option("--repeats", type=click.IntRange(1), default=3)
seconds_option = click.option(
    "--seconds", type=float, default=1.0, help="Shortest time of a measurement."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, and no table."
)


def log(message: str) -> None:
    """Print a line of progress to stderr."""
    print(message, file=sys.stderr, flush=True)
