"""The program `mlp`: the group of its commands, and the errors that become exit codes.

Each command parses its options, calls the library and prints the result; nothing is decided here.
Results go to stdout, everything else to stderr. A command imports the library when it runs, so that
`mlp --help` starts at once, and so that `train` can fix the number of threads before NumPy is
loaded.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from mlp_cli.cli.config import config
from mlp_cli.cli.download_data import download_data
from mlp_cli.cli.eval import evaluate
from mlp_cli.cli.gradcheck import gradcheck
from mlp_cli.cli.hints import corrected_line
from mlp_cli.cli.options import HelpfulGroup
from mlp_cli.cli.signals import Interrupted, Signals, die_by
from mlp_cli.cli.train import train
from mlp_cli.cli.version import version_option
from mlp_cli.errors import ConfigError, MlpError, visible_lines

EXIT_CODES = """\b
Exit codes: 0 done; 1 a check failed (--max-error, gradcheck); 2 usage or configuration; 3 data
missing or damaged; 4 a download failed, worth retrying; 5 checkpoint damaged; 6 training diverged;
7 disk or permission. SIGINT and SIGTERM save, then end the process by that signal.
"""


@click.group(
    cls=HelpfulGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES
)
@version_option
def cli() -> None:
    """Train fully connected networks on MNIST, and score and check them."""


for command in (config, download_data, evaluate, gradcheck, train):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit. Only here do errors become messages and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if the caller closed it
            stream.reconfigure(errors="backslashreplace")
    try:
        with Signals() as signals:
            code = cli.main(arguments, prog_name="mlp", standalone_mode=False, obj=signals)
    except Interrupted as interruption:
        die_by(interruption.number)
    except click.ClickException as error:
        if isinstance(error, click.UsageError):
            error = _with_line(error, arguments)
        error.message = visible_lines(error.message)  # type: ignore[misc]  # final only to mypy
        with suppress(OSError):  # the exit code says it as well
            error.show()
        code = error.exit_code
    except ConfigError as error:
        hint = corrected_line(cli, _words(arguments))
        _complain(f"{error} {hint}" if hint else str(error))
        code = error.exit_code
    except MlpError as error:
        _complain(str(error))
        code = error.exit_code
    except MemoryError as error:
        reason = str(error).rstrip(".") or "None is left"
        _complain(
            f"not enough memory. {reason}. Choose a smaller model.hidden or training.batch_size, "
            "or a machine with more memory."
        )
        code = ConfigError.exit_code
    sys.exit(code)


def _words(arguments: Sequence[str] | None) -> Sequence[str]:
    return sys.argv[1:] if arguments is None else arguments


def _with_line(error: click.UsageError, arguments: Sequence[str] | None) -> click.UsageError:
    """Return the error with the command line that was probably meant, if that is clear."""
    hint = corrected_line(cli, _words(arguments))
    if hint is None:
        return error
    vars(error)["possibilities"] = None  # the line says more than Click's similar names
    return click.UsageError(f"{error.format_message().rstrip('.')}. {hint}", error.ctx)


def _complain(message: str) -> None:
    with suppress(OSError):  # the exit code says it as well
        click.echo(f"Error: {visible_lines(message)}", err=True)
