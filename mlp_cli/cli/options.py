"""What several commands share: how names are read, options, and the configuration's file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from mlp_cli.cli.completion.candidates import complete_run_or_sweep
from mlp_cli.cli.printing import show
from mlp_cli.cli.signals import Signals
from mlp_cli.errors import ConfigError, did_you_mean
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


class Choice(click.Choice):  # type: ignore[type-arg]  # generic only from Click 8.4 on
    """One of a few names. If another one is given, the message suggests the closest."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or raise a usage error that names the option."""
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter as error:
            self.fail(f"{error.message}{did_you_mean(value, self.choices)}", param, ctx)


class HelpfulCommand(click.Command):
    """A command that corrects names, and prints its help by `show`.

    So a full disk or a closed pipe is reported, and capitals do not hide what is meant.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; suggest the closest option if one does not exist."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            found, known = error.option_name, [n for p in self.get_params(ctx) for n in p.opts]
            hint = did_you_mean(found, known)
            raise click.UsageError(f"No such option '{found}'.{hint}", ctx) from error

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with; suggest the closest if there is none."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise click.UsageError(
                f"No such command '{args[0]}'.{did_you_mean(args[0], self.commands)}", ctx
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without arguments, print the help as an error, as Click does only from 8.2 on."""
        if not args and not ctx.resilient_parsing:
            with suppress(OSError):  # the exit code says it as well
                click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)


def _show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        show(ctx.get_help())
        ctx.exit()


def examples(*commands: str) -> str:
    """Return the end of a command's help: commands that work. Each must fit into 56 columns."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


option = partial(click.option, cls=Option)  # all commands make their options with it


def paths_argument(command: Command) -> Command:
    """Add PATH..., the folders of runs and sweeps."""
    return click.argument(
        "paths",
        nargs=-1,
        required=True,
        type=GivenPath(),
        shell_complete=complete_run_or_sweep,
        metavar="PATH...",
    )(command)


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


def data_path_option(command: Command) -> Command:
    """Add `--data-path`."""
    return option(
        "--data-path",
        type=GivenPath(),
        metavar="PATH",
        help="Where the images of a run with data.path are now, if they have moved.",
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


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else."
    )(command)


def _given_mirrors(ctx: click.Context, param: click.Parameter, mirrors: Sequence[str]) -> list[str]:
    try:
        return [given_mirror(mirror) for mirror in mirrors]
    except ConfigError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def current_signals() -> Signals:
    """Return the signals that `main` handles, or new ones if the command runs without `main`."""
    found = click.get_current_context().find_object(Signals)
    return found if found is not None else Signals()
