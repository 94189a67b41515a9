"""The program `mlp`: the group of its commands, and the errors that become exit codes.

Each command parses its options, calls the library and prints the result; nothing is decided here.
Results go to stdout, everything else to stderr. A command imports the library when it runs, so that
`mlp --help` starts at once, and so that `train` can fix the number of threads before NumPy is
loaded.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress

import click

from mlp_cli.cli.compare import compare
from mlp_cli.cli.completion.command import completion
from mlp_cli.cli.config import config
from mlp_cli.cli.data import data
from mlp_cli.cli.download_data import download_data
from mlp_cli.cli.eval import evaluate
from mlp_cli.cli.export import export
from mlp_cli.cli.gradcheck import gradcheck
from mlp_cli.cli.init import init
from mlp_cli.cli.options import HelpfulGroup
from mlp_cli.cli.predict import predict
from mlp_cli.cli.printing import stdout_errors
from mlp_cli.cli.report import report
from mlp_cli.cli.runs import runs
from mlp_cli.cli.signals import Interrupted, Signals, die_by
from mlp_cli.cli.storage_warnings import storage_warnings_to
from mlp_cli.cli.sweep import sweep
from mlp_cli.cli.train import train
from mlp_cli.cli.version import version_option
from mlp_cli.errors import ConfigError, MlpError, visible_lines
from mlp_cli.runs.colour import RED, coloured, shows_colours

LABEL = "Error: "  # of a message, as Click writes it

EXIT_CODES = """\
Exit codes: 0 done; 1 a check failed; 2 usage or configuration; 3 data missing or damaged;
4 a download failed or a Dask scheduler is lost, worth retrying; 5 checkpoint damaged; 6 diverged;
7 disk or permission. SIGINT and SIGTERM save, then end the process by that signal.
"""


@click.group(
    cls=HelpfulGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES
)
@version_option
def cli() -> None:
    """Train fully connected networks on MNIST, and score and check them."""


for command in (
    compare,
    completion,
    config,
    data,
    download_data,
    evaluate,
    export,
    gradcheck,
    init,
    predict,
    report,
    runs,
    sweep,
    train,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit. Only here do errors become messages and exit codes."""
    # A stream is None if the caller closed it. Click 8.1.0 to 8.1.3 cannot write to None.
    sys.stdout, sys.stderr = (
        stream or io.TextIOWrapper(io.BytesIO()) for stream in (sys.stdout, sys.stderr)
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # of a file that tells no position
                stream.reconfigure(errors="backslashreplace")
    try:
        # With this variable, Click only prints what a shell needs to complete commands.
        completing = "_MLP_COMPLETE" in os.environ
        if completing:
            from mlp_cli.cli.completion.shells import register

            register()
        printing = stdout_errors() if completing else nullcontext()
        with Signals() as signals, storage_warnings_to(_warn), printing:
            code = cli.main(arguments, prog_name="mlp", standalone_mode=False, obj=signals)
    except Interrupted as interruption:
        die_by(interruption.number)
    except click.ClickException as error:
        if isinstance(error, click.UsageError):
            error = click.UsageError(_with_line(error.format_message(), arguments), error.ctx)
        text = io.StringIO()
        error.show(text)
        usage, _, message = text.getvalue().partition(LABEL)
        _complain(message.rstrip("\n"), usage)
        code = error.exit_code
    except ConfigError as error:
        _complain(_with_line(str(error), arguments))
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


def _with_line(message: str, arguments: Sequence[str] | None) -> str:
    """Return the message with the command line that was probably meant, if that is clear."""
    from mlp_cli.cli.hints import corrected_line  # which only an error needs

    hint = corrected_line(cli, sys.argv[1:] if arguments is None else arguments)
    if hint is None:
        return message
    if (asked := re.search(r" Did you mean (\S+)\?\Z", message)) and asked[1] not in hint.line:
        message = message[: asked.start()]  # the line knows better than the letters of a name
    end = "" if message.endswith((".", "?")) else "."
    return f"{message}{end} {hint}"


def _complain(message: str, usage: str = "") -> None:
    stream = sys.stderr
    text = f"{usage}{coloured(LABEL, RED, stream)}{visible_lines(message)}"
    with suppress(OSError):  # the exit code says it as well
        click.echo(text, file=stream, color=shows_colours(stream))


def _warn(message: str) -> None:
    from mlp_cli.runs.progress import ProgressObserver

    ProgressObserver().warn(message)
