"""What the commands of the command line share: their options, and how they print a result."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mlp_cli.cli.signals import die_by
from mlp_cli.errors import StorageError

Command = TypeVar("Command", bound=Callable[..., Any])


def data_dir_option(command: Command) -> Command:
    """Add `--data-dir`."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("data"),
        envvar="MLP_DATA_DIR",
        show_default=True,
        show_envvar=True,
        help="Where data lie; MNIST's four files in DIR/mnist.",
        metavar="DIR",
    )(command)


def mirror_option(command: Command) -> Command:
    """Add `--mirror`."""
    return click.option(
        "--mirror",
        "mirrors",
        multiple=True,
        metavar="URL_OR_DIR",
        help="Fetch MNIST from here first: a base URL or a folder, gzipped or raw. Repeatable. "
        "MLP_MIRROR comes next, then the built-in mirrors.",
    )(command)


def config_option(command: Command) -> Command:
    """Add `--config` and `--set`."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one key of the configuration, as in training.epochs=3. May be repeated.",
    )(command)
    return click.option(
        "--config",
        "config_path",
        required=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A YAML configuration; `mlp config schema` describes its keys.",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object to stdout, and nothing else."
    )(command)


def all_mirrors(mirrors: Sequence[str]) -> list[str]:
    """Return the user's mirrors in their order: the options', then MLP_MIRROR's."""
    variable = os.environ.get("MLP_MIRROR", "")
    return [*mirrors, *([variable] if variable else [])]


def show(text: object) -> None:
    """Print a result to stdout; a path by its own bytes, whatever the encoding, for scripts.

    Raises
    ------
    StorageError
        If the disk that it goes to is full.
    """
    try:
        click.echo(os.fsencode(text) if isinstance(text, Path) else text)
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        die_by(signal.SIGPIPE)
    except OSError as error:
        raise StorageError(
            f"cannot write to standard output: {error.strerror}. Check the free space."
        ) from error
