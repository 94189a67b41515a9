"""Continuing a run on the same data, wherever they are now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from mlp_cli.config.load import differences, load_config
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset
from mlp_cli.data.identity import other_data, refusal, unknown_data
from mlp_cli.errors import ConfigError
from mlp_cli.inference.model import trained_by
from mlp_cli.runs.folder import RunFolder
from mlp_cli.storage.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mlp_cli.storage.files import exists


def check_same_data(
    checkpoint: Checkpoint,
    config: Config,
    dataset: Dataset,
    warn: Callable[[str], object],
    *,
    moved: bool,
) -> None:
    """Refuse to continue the training of a checkpoint on other data.

    Parameters
    ----------
    checkpoint, config, dataset
        The newest checkpoint of the run, and the configuration and data to continue with.
    warn
        Is told if nobody can know whether moved data are the same.
    moved
        Whether the user says that the data have moved to the configuration's `data.path`.

    Raises
    ------
    ConfigError
        If `data.path` is another folder, whose data are others or, unless `moved`, may be others.
    DataError
        If the data are others.
    CheckpointError
        If the checkpoint holds no record of its data, or no configuration.
    """
    record, path, stored = checkpoint.data(), checkpoint.path, trained_by(checkpoint)
    if set(differences(stored, config)) - {"data.path", "training.epochs"}:
        return  # the checkpoint of another run, which `restore` refuses
    elsewhere = config.data.path != stored.data.path
    why = other_data(record, dataset, dataset.record.digests)
    if elsewhere and not moved and (why or not record.digests):
        raise _elsewhere(path, why)
    if why:
        raise refusal(dataset.name, path, record.name, why)
    if elsewhere and not record.digests:
        warn(unknown_data(dataset.name, path))


def _elsewhere(checkpoint: Path, why: str) -> ConfigError:
    """Return the error that `data.path` is another folder, with other data if `why` says how."""
    if why:
        found = f"its data are others: {why}"
        remedy = (
            f"Resume with {checkpoint.parent / 'config.yaml'}, or train the new configuration in "
            "another folder"
        )
    else:
        found = f"its data may be others, because {checkpoint} holds no digests of its data"
        remedy = "If they are the same, say so with --data-path DIR"
    return ConfigError(
        f"--resume {checkpoint.parent}: the configuration differs from the run's in data.path, and "
        f"{found}. {remedy}."
    )


def record_place(folder: RunFolder, newest: Checkpoint, config: Config, dataset: Dataset) -> None:
    """Write into a run's checkpoints where its data are now, if `newest` names another folder.

    Call it after `check_same_data`.

    Raises
    ------
    ConfigError
        As `FolderLock.check`.
    CheckpointError
        If a checkpoint is damaged.
    StorageError
        If one cannot be written.
    """
    if trained_by(newest).data.path == config.data.path:
        return
    for path in (folder.best, folder.last):  # last.npz second: it tells that best.npz is done
        if exists(path):
            checkpoint = load_checkpoint(path)
            place = {"data.path": config.data.path}
            stored = load_config(trained_by(checkpoint), set=place, warn=lambda _: None)
            header = {"config": stored.to_dict(), "data": asdict(dataset.record)}
            save_checkpoint(
                path, checkpoint.arrays, checkpoint.header | header, check=folder.lock.check
            )
