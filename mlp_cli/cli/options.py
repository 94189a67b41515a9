"""What several commands share: options, the configuration's file, and printing a result."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from functools import wraps
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
        help="Folder of the data. MNIST's four files lie in DIR/mnist.",
        metavar="DIR",
    )(command)


def mirror_option(command: Command) -> Command:
    """Add `--mirror`."""
    return click.option(
        "--mirror",
        "mirrors",
        multiple=True,
        metavar="URL_OR_DIR",
        help="Fetch MNIST from here first: a base URL or a folder, gzipped or raw. May be "
        "repeated. MLP_MIRROR is tried next, then the built-in mirrors.",
    )(command)


def config_options(command: Command) -> Callable[..., Any]:
    """Add `--set`, and CONFIG and `--config`; one of these gives the command's `config_path`."""

    @click.argument("argument", required=False, type=click.Path(path_type=Path), metavar="[CONFIG]")
    @config_option
    @set_option
    @wraps(command)
    def with_config(*, argument: Path | None, option: Path | None, **others: Any) -> Any:
        return command(config_path=find_config_file(argument, option), **others)

    return with_config


def config_option(command: Command) -> Command:
    """Add `--config`."""
    return click.option(
        "--config",
        "option",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The same as CONFIG. `mlp config schema` describes the keys.",
    )(command)


def set_option(command: Command) -> Command:
    """Add `--set`."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one key of the configuration, as in training.epochs=3. May be repeated.",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else."
    )(command)


def find_config_file(argument: Path | None, option: Path | None) -> Path:
    """Return the file of the configuration that is given as an argument or as `--config`.

    Raises
    ------
    click.UsageError
        If both are given, or neither.
    ConfigError
        If there is neither a file nor a shipped configuration of that name.
    StorageError
        If the path may not be read.
    """
    context = click.get_current_context()
    if argument is not None and option is not None:
        raise click.UsageError(
            f"Two configurations are given: {argument} and --config {option}. Give one.", context
        )
    name = argument if argument is not None else option
    if name is None:
        raise click.UsageError(
            "No configuration is given. Name a file or a shipped configuration, as in "
            "`mlp train mnist`. `mlp config list` shows the shipped ones.",
            context,
        )

    from mlp_cli.config.shipped import find_config

    return find_config(name)


def all_mirrors(mirrors: Sequence[str]) -> list[str]:
    """Return the user's mirrors in the order of trial: those of `--mirror`, then MLP_MIRROR."""
    variable = os.environ.get("MLP_MIRROR", "")
    return [*mirrors, *([variable] if variable else [])]


def show(text: object) -> None:
    """Print a result to stdout. A path is printed as its own bytes, whatever the encoding.

    Raises
    ------
    StorageError
        If stdout cannot be written, for example because the disk is full.
    """
    try:
        click.echo(os.fsencode(text) if isinstance(text, Path) else text)
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        die_by(signal.SIGPIPE)
    except OSError as error:
        raise StorageError(
            f"cannot write to standard output: {error.strerror}. Check the free space."
        ) from error
