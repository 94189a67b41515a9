"""Which format a source has. Its content decides, and the names of files only in a folder."""

from __future__ import annotations

from pathlib import Path

from mlp_cli.data.formats.class_folders import Store, read_class_folders
from mlp_cli.data.formats.collection import Answers, Collection, Progress


def read_collection(
    source: Path,
    answers: Answers = Answers(),
    progress: Progress = lambda done, total: None,
    store: Store | None = None,
) -> Collection:
    """Read a file or folder of images in any format that is known.

    Raises
    ------
    NoFileError
        If nothing is there, or nothing that is known.
    ConfigError
        If the source leaves something open that an option must say, or if an extra is missing.
    DataError
        If it is damaged, contradicts itself, or would take too much memory.
    StorageError
        If a file cannot be read.
    """
    return read_class_folders(source, answers, progress, store)
