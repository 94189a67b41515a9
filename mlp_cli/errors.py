"""The errors that a user can cause, each with the exit code that it means.

Every message says what is wrong, where, what was found and what to do about it. The command line
turns an `MlpError` into its message and its exit code. Any other exception is a defect of the
program and keeps its traceback. The functions serve all messages: `visible` shows text that comes
from outside, `reason` says why something failed, and `did_you_mean` corrects a name.

    MlpError
    ├── CheckFailedError   1  a check that the user asked for failed
    ├── ConfigError        2  a configuration or option is wrong, or a run is missing
    ├── DataError          3  data are missing or damaged
    ├── DownloadError      4  a fetch was tried and failed; trying again may help
    ├── ClusterError       4  a Dask scheduler cannot be reached; trying again may help
    ├── CheckpointError    5  a checkpoint is damaged or does not fit its use
    ├── DivergedError      6  a loss, gradient or weight is not finite
    └── StorageError       7  disk or permission

A `StorageWarning` is no error: the program goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar


class MlpError(Exception):
    """Base class of the errors that a user can cause and correct."""

    exit_code: ClassVar[int] = 1


class CheckFailedError(MlpError):
    """A check that the user asked for (`--max-error`, `gradcheck`) failed."""


class ConfigError(MlpError):
    """A configuration or an option is wrong, or a run or checkpoint does not exist."""

    exit_code = 2


class DataError(MlpError):
    """Data are missing or damaged, and no fetch was allowed or possible."""

    exit_code = 3


class DownloadError(MlpError):
    """A fetch was tried and failed; trying again may help."""

    exit_code = 4


class ClusterError(MlpError):
    """A Dask scheduler cannot be reached, or the connection to it was lost."""

    exit_code = 4


class CheckpointError(MlpError):
    """A checkpoint is damaged, or does not fit its use."""

    exit_code = 5


class DivergedError(MlpError):
    """A loss, gradient or weight became infinite or NaN in training."""

    exit_code = 6


class StorageError(MlpError):
    """The disk is full, or a file or folder cannot be read or written."""

    exit_code = 7


class StorageWarning(UserWarning):
    """A file system lacks something that the program can do without.

    The text does not name `path`, the first place of this kind, so that Python can tell that two
    warnings are the same.
    """

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


def visible(text: str) -> str:
    r"""Return a line of text with its control characters escaped, as in `\r` and `\x1b`.

    Text that comes from a user, a file or a server can then neither control the terminal nor hide
    a part of a message.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def visible_lines(message: str) -> str:
    """Return a message with every line as `visible` shows it."""
    return "\n".join(map(visible, message.split("\n")))


def reason(error: BaseException) -> str:
    """Return what an exception says, without a period; the name of its class if it says nothing.

    Of an `OSError` this is only why, because the message names the file itself.
    """
    text = str(getattr(error, "strerror", None) or error).strip().rstrip(".")
    return text or type(error).__name__


def closest(found: str, names: Iterable[str]) -> str:
    """Return the one of `names` that was probably meant, or an empty text.

    Capitals and blanks around `found` do not count. All of `names` are in small letters.
    """
    import difflib  # `mlp --help` does not need it

    return next(iter(difflib.get_close_matches(found.strip().lower(), names, 1)), "")


def did_you_mean(found: str, names: Iterable[str]) -> str:
    """Return a question, after a blank, whether the `closest` name was meant; or an empty text."""
    name = closest(found, names)
    return f" Did you mean {name}?" if name else ""
