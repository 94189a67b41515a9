"""Whether a trained network comes from a run that has finished."""

from __future__ import annotations

import shlex
from pathlib import Path

from mlp_cli.runs.folder import RunFolder
from mlp_cli.runs.lock import is_locked
from mlp_cli.storage.files import exists, storage_errors


def unfinished(path: Path) -> str:
    """Return why the network at `path` is not the outcome of a finished run; "" if it is.

    Parameters
    ----------
    path
        A run's folder, or a checkpoint. A checkpoint that lies in no run's folder counts as
        finished.

    Raises
    ------
    StorageError
        If the folder cannot be read.
    """
    with storage_errors("read", path):
        folder = path if path.is_dir() else path.parent
    run = RunFolder(folder)
    if exists(run.result) or not (exists(run.env) or exists(run.last)):
        return ""
    if is_locked(folder):
        return f"{folder} is still training, so this is not its final network."
    if exists(run.divergence):
        return f"The training in {folder} diverged. This is a network from before."
    return (
        f"{folder} has not finished its training, so this is not its final network. To go on:\n"
        f"mlp train --resume --out {shlex.quote(str(folder))}"
    )
