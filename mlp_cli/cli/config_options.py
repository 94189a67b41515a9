"""The options by which a command is given its configuration, and the file that they name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mlp_cli.cli.completion.candidates import complete_change, complete_config
from mlp_cli.cli.options import Command, GivenPath, option
from mlp_cli.errors import ConfigError
from mlp_cli.storage.files import exists


def config_options(*, has_default: bool = True) -> Callable[[Command], Callable[..., Any]]:
    """Add `--set`, and CONFIG and `--config`; one of these gives the command's `config_path`.

    If neither is given, `config_path` is that of the default configuration; or None, if the command
    decides for itself because `has_default` is false.
    """

    def add_options(command: Command) -> Callable[..., Any]:
        @click.argument(
            "argument",
            required=False,
            type=GivenPath(stream=True),
            shell_complete=complete_config,
            metavar="[CONFIG]",
        )
        @config_option
        @set_option
        @wraps(command)
        def with_config(*, argument: Path | None, option: Path | None, **others: Any) -> Any:
            path = find_config_file(argument, option)
            if path is None and has_default:
                path = default_config()
            return command(config_path=path, **others)

        return with_config

    return add_options


def config_option(command: Command) -> Command:
    """Add `--config`."""
    return option(
        "--config",
        "option",
        type=GivenPath(stream=True),
        shell_complete=complete_config,
        metavar="FILE",
        help="The same as CONFIG. `mlp config explain` lists the keys.",
    )(command)


def set_option(command: Command) -> Command:
    """Add `--set`."""
    return option(
        "--set",
        "overrides",
        multiple=True,
        shell_complete=complete_change,
        metavar="KEY=VALUE",
        help="Change one key of the configuration, as in training.epochs=3. May be repeated.",
    )(command)


def find_config_file(argument: Path | None, option: Path | None) -> Path | None:
    """Return the configuration's file, given as an argument or as `--config`; None if neither is.

    Raises
    ------
    click.UsageError
        If both are given.
    ConfigError
        If there is neither a file nor a shipped configuration of that name.
    StorageError
        If the path may not be read.
    """
    if argument is not None and option is not None:
        raise click.UsageError(
            f"Two configurations are given: {argument} and --config {option}. Give one.",
            click.get_current_context(),
        )
    name = argument if argument is not None else option
    if name is None:
        return None

    from mlp_cli.config.shipped import find_config

    return find_config(name)


def default_config(log: Callable[[str], object] | None = None) -> Path:
    """Return the file of the default configuration, and say so.

    Parameters
    ----------
    log
        Called with the message. If it is None, the message goes to stderr.
    """
    from mlp_cli.config.shipped import DEFAULT, default_config_file
    from mlp_cli.runs.progress import ProgressObserver

    (log or ProgressObserver().log)(
        f"No configuration is given: this is the shipped {DEFAULT}. See `mlp config list`."
    )
    return default_config_file()


def run_config(out: Path) -> Path:
    """Return the file of the configuration of the run in `out`, to continue with it.

    Raises
    ------
    ConfigError
        If the folder has none.
    StorageError
        If it may not be read.
    """
    own = out / "config.yaml"
    if not exists(own):
        raise ConfigError(
            f"--resume {out}: there is no {own}, so there is no run to continue. Check the name, "
            f"or name the configuration: `mlp train CONFIG --resume --out {out}` starts a run."
        )
    return own
