"""The errors that a user can cause, each with the exit code that it means.

Every message says what is wrong, where, what was found and what to do about it. The command line
turns an `MlpError` into that message and its exit code, and turns nothing else into anything: any
other exception is a defect of the program and keeps its traceback.

    MlpError
    ├── CheckFailedError   1  a check that the user asked for did not hold
    ├── ConfigError        2  the configuration, an option, or a run that is not there
    ├── DataError          3  data missing or damaged
    ├── DownloadError      4  a fetch was tried and failed; trying again may help
    ├── CheckpointError    5  a checkpoint is damaged or does not fit
    ├── DivergedError      6  a loss, gradient or weight is not finite
    └── StorageError       7  disk or permission
"""

from __future__ import annotations

from typing import ClassVar


class MlpError(Exception):
    """Base class: something a user can cause and mend."""

    exit_code: ClassVar[int] = 1


class CheckFailedError(MlpError):
    """A check that the user asked for (`--max-error`, `gradcheck`) did not hold."""


class ConfigError(MlpError):
    """A configuration or an option is wrong, or names a run or checkpoint that is not there."""

    exit_code = 2


class DataError(MlpError):
    """Data are missing or damaged, and no fetch was allowed or possible."""

    exit_code = 3


class DownloadError(MlpError):
    """A fetch was tried and failed; trying again may help."""

    exit_code = 4


class CheckpointError(MlpError):
    """A checkpoint is damaged, or does not fit what it is used for."""

    exit_code = 5


class DivergedError(MlpError):
    """Training met a loss, gradient or weight that is not finite."""

    exit_code = 6


class StorageError(MlpError):
    """The disk is full, or a file or folder cannot be read or written."""

    exit_code = 7
