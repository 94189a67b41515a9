"""Paths as a user gives them: on the command line, in a configuration, from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mlp_cli.errors import ConfigError, visible
from mlp_cli.storage.files import storage_errors

STREAM = Path("-")  # standard input or output, for what can be read or written there


def given_path(path: str | os.PathLike[str]) -> Path:
    r"""Return a path that a user gives, with a leading `~` or `~user` as that home folder.

    Raises
    ------
    ConfigError
        If the path is empty; if no user has that home folder; or if it begins or ends with a blank,
        and nothing has that name. Such a blank is rarely meant: a script with Windows line ends
        appends `\r` to the last word of each line.
    StorageError
        If the path is `./~` or the like, and the working directory is gone.
    """
    text = os.fspath(path)
    shown = f"the path '{visible(text)}'"
    if not text.strip():
        raise ConfigError(f"{shown} is empty. Name a file or a folder.")
    if "\0" in text:
        raise ConfigError(f"{shown} holds a NUL character. Remove it.")
    try:
        found = Path(text).expanduser() if text.startswith("~") else Path(text)
    except RuntimeError as error:
        raise ConfigError(f"{shown} names a home folder that is unknown. Write it out.") from error
    if text != text.strip() and not os.path.lexists(found):
        remedy = "Remove it."
        if text.endswith("\r"):
            remedy = "Give the script that it comes from Unix line ends."
        raise ConfigError(f"{shown} begins or ends with a blank character. {remedy}")
    if str(found).startswith("~") or (found == STREAM and text != str(STREAM)):
        with storage_errors("find", found):
            found = found.absolute()  # so that ./~ and ./- keep their meaning if read again
    return found


def given_mirror(mirror: str) -> str:
    """Return a mirror that a user gives: a URL without blanks around it, or a folder's path.

    Raises
    ------
    ConfigError
        If it is a path that `given_path` refuses.
    """
    return mirror.strip() if "://" in mirror else str(given_path(mirror))


def usual_data_dir() -> Path:
    """Return the folder of the data if the user names none: MLP_DATA_DIR, or `data`.

    Raises
    ------
    ConfigError
        If MLP_DATA_DIR is a path that `given_path` refuses.
    """
    return given_path(os.environ.get("MLP_DATA_DIR") or "data")


def all_mirrors(mirrors: Sequence[str]) -> list[str]:
    """Return the user's mirrors in the order of trial: those that are given, then MLP_MIRROR.

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
