"""The text of a configuration: from a file, a pipe or the standard input, up to a limit."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from pathlib import Path

from mlp_cli.config.yaml12 import LINE_END, MAX_BYTES
from mlp_cli.errors import ConfigError
from mlp_cli.storage.files import mode_of, storage_errors
from mlp_cli.storage.paths import STREAM

PATIENCE = 30.0  # seconds without a byte, after which nobody seems to write to a pipe


def read(path: Path) -> str:
    """Return the text of a YAML file, without its byte-order mark. `-` is the standard input.

    Raises
    ------
    ConfigError
        If it is missing, neither a regular file nor a pipe, too large, or not UTF-8; or if nothing
        comes through a pipe.
    StorageError
        If it cannot be read.
    """
    with storage_errors("read", path):
        if path == STREAM:
            if sys.stdin is None:  # the number 0 may belong to another file then
                raise OSError(errno.EBADF, "standard input is closed")
            content = _read_stream(0, path)
        elif (mode := mode_of(path)) is None:
            raise ConfigError(f"{path}: there is no such file. Check the name.")
        elif stat.S_ISFIFO(mode):  # never on Windows
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # does not wait for a writer
            try:
                content = _read_stream(descriptor, path)
            finally:
                os.close(descriptor)
        elif not stat.S_ISREG(mode):
            raise ConfigError(
                f"{path}: a folder or device. A configuration must be a regular file or a pipe."
            )
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ConfigError(
            f"{path}: larger than {MAX_BYTES} bytes, which no configuration needs. Check the name."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(LINE_END.findall(content[: error.start].decode("utf-8", "replace"))) + 1
        raise ConfigError(
            f"{path}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}). Save it as UTF-8."
        ) from error


def _read_stream(descriptor: int, path: Path) -> bytes:
    """Read a pipe to its end, or to one byte beyond the limit.

    Raises
    ------
    ConfigError
        If nothing comes for a long time, and it is not a terminal, at which a user may be typing.
    """
    content, is_typed = b"", os.isatty(descriptor)
    while len(content) <= MAX_BYTES:
        if not (is_typed or _comes(descriptor)):
            raise ConfigError(
                f"{path}: nothing came through this pipe for {PATIENCE:g} s. "
                "Check the program that writes to it."
            )
        chunk = os.read(descriptor, MAX_BYTES + 1 - len(content))
        if not chunk:
            break
        content += chunk
    return content


def _comes(descriptor: int) -> bool:
    """Wait for the next bytes of a pipe, or its end; return False if nothing comes for long."""
    if not hasattr(select, "poll"):  # Windows cannot wait for a pipe, and reading it waits for ever
        return True
    stream = select.poll()
    stream.register(descriptor, select.POLLIN)
    return bool(stream.poll(1000 * PATIENCE))
