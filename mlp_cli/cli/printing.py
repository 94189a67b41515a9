"""Printing a result to stdout, as text or JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mlp_cli.cli.signals import SIGPIPE, die_by
from mlp_cli.errors import StorageError, reason
from mlp_cli.storage.remedies import remedy


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
    with stdout_errors():
        click.echo(os.fsencode(text) if isinstance(text, Path) else text)


@contextmanager
def stdout_errors() -> Iterator[None]:
    """Turn an `OSError` of a block that only prints to stdout into a message.

    Raises
    ------
    StorageError
        If stdout cannot be written, for example because the disk is full.
    """
    try:
        yield
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        die_by(SIGPIPE)
    except OSError as error:
        raise StorageError(
            f"cannot write to standard output: {reason(error)}. {remedy(error)}"
        ) from error
