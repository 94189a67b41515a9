"""What several commands share: options, the configuration's file, and printing a result."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from mlp_cli.cli.signals import die_by
from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.storage.paths import STREAM, given_mirror, given_path

Command = TypeVar("Command", bound=Callable[..., Any])


class Option(click.Option):
    """An option that may be given once, unless it is a flag or `multiple`.

    Click takes the last value of an option that is repeated, and drops the others. A repeated flag
    loses nothing, so it is allowed.
    """

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser collect all values of the option."""
        if self.is_flag or self.multiple:
            super().add_to_parser(parser, ctx)
        else:
            parser.add_option(obj=self, opts=self.opts, dest=self.name, action="append")

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> Any:
        """Take the only value.

        Raises
        ------
        click.UsageError
            If there are several. All of them are named.
        """
        found = opts.get(str(self.name))
        if isinstance(found, list) and not self.multiple:
            if len(found) > 1:
                times = "twice" if len(found) == 2 else f"{len(found)} times"
                raise click.UsageError(
                    f"{self.opts[0]} is given {times}: {' and '.join(found)}. Give it once.", ctx
                )
            opts = {**opts, str(self.name): found[0]}
        return super().consume_value(ctx, opts)


class GivenPath(click.Path):
    """A path, read by `given_path`. `-` is refused unless the path may be a stream."""

    def __init__(
        self, *, file_okay: bool = True, dir_okay: bool = True, stream: bool = False
    ) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, readable=False, path_type=Path)
        self._stream = stream

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path; a fault is a usage error that names the option or argument."""
        if os.fspath(value) == str(STREAM) and not self._stream:
            self.fail("a stream (-) is not possible here. Write ./- for that name.", param, ctx)
        try:
            path = given_path(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return super().convert(path, param, ctx)


class HelpfulCommand(click.Command):
    """A command whose help is printed by `show`, which reports a full disk or a closed pipe."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return Click's option `--help`, with another way to print."""
        found = super().get_help_option(ctx)
        if found is not None:
            found.callback = _show_help
        return found


class HelpfulGroup(HelpfulCommand, click.Group):
    """A group of such commands."""

    command_class = HelpfulCommand
    group_class = type


def _show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        show(ctx.get_help())
        ctx.exit()


option = partial(click.option, cls=Option)  # all commands make their options with it


def data_dir_option(command: Command) -> Command:
    """Add `--data-dir`."""
    return option(
        "--data-dir",
        type=GivenPath(file_okay=False),
        default=Path("data"),
        envvar="MLP_DATA_DIR",
        show_default=True,
        show_envvar=True,
        help="Folder of the data. MNIST's four files lie in DIR/mnist or, without it, in DIR.",
        metavar="DIR",
    )(command)


def mirror_option(command: Command) -> Command:
    """Add `--mirror`."""
    return option(
        "--mirror",
        "mirrors",
        callback=_given_mirrors,
        multiple=True,
        metavar="URL_OR_DIR",
        help="Fetch MNIST from here first: a base URL or a folder, gzipped or raw. May be "
        "repeated. MLP_MIRROR is tried next, then the built-in mirrors.",
    )(command)


def config_options(*, has_default: bool = True) -> Callable[[Command], Callable[..., Any]]:
    """Add `--set`, and CONFIG and `--config`; one of these gives the command's `config_path`.

    If neither is given, `config_path` is that of the default configuration; or None, if the command
    decides for itself because `has_default` is false.
    """

    def add_options(command: Command) -> Callable[..., Any]:
        @click.argument("argument", required=False, type=GivenPath(stream=True), metavar="[CONFIG]")
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
        metavar="FILE",
        help="The same as CONFIG. `mlp config explain` lists the keys.",
    )(command)


def set_option(command: Command) -> Command:
    """Add `--set`."""
    return option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one key of the configuration, as in training.epochs=3. May be repeated.",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else."
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


def _given_mirrors(ctx: click.Context, param: click.Parameter, mirrors: Sequence[str]) -> list[str]:
    try:
        return [given_mirror(mirror) for mirror in mirrors]
    except ConfigError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def all_mirrors(mirrors: Sequence[str]) -> list[str]:
    """Return the user's mirrors in the order of trial: those of `--mirror`, then MLP_MIRROR.

    Raises
    ------
    ConfigError
        If MLP_MIRROR is a path that `given_path` refuses.
    """
    variable = os.environ.get("MLP_MIRROR", "")
    try:
        return [*mirrors, *([given_mirror(variable)] if variable else [])]
    except ConfigError as error:
        raise ConfigError(f"MLP_MIRROR: {error}") from error


def show_json(value: Any, indent: int | None = None) -> None:
    """Print a result to stdout as JSON. Characters that could control a terminal are escaped.

    Raises
    ------
    StorageError
        If stdout cannot be written.
    """
    from mlp_cli.storage.strict_json import to_json

    text = to_json(value, indent=indent)
    show("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


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
