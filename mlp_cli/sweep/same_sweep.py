"""Continuing a sweep: whether its file and its data are still those of its folder."""

from __future__ import annotations

from dataclasses import replace

from mlp_cli.config.reading import read
from mlp_cli.data.dataset import Dataset
from mlp_cli.errors import ConfigError, DataError
from mlp_cli.storage.files import atomic_write, exists
from mlp_cli.sweep.definition import Sweep
from mlp_cli.sweep.folder import SweepFolder
from mlp_cli.sweep.reading import read_sweep
from mlp_cli.sweep.trials import trial_config

MAY_CHANGE = ("confirm", "time_limit")  # they do not change what a trial is


def check_same_sweep(sweep: Sweep, folder: SweepFolder) -> None:
    """Refuse to continue another sweep, and keep this one in `sweep.yaml`.

    Raises
    ------
    ConfigError
        If the folder holds another sweep. More trials are allowed, unless they are a grid.
    StorageError
        If `sweep.yaml` cannot be read or written.
    """
    text = sweep.to_yaml()
    with folder.locked():
        if exists(folder.sweep):
            if read(folder.sweep) == text:  # then its trials need not be checked again
                return
            changed = _differences(read_sweep(folder.sweep), sweep)
            if changed:
                raise ConfigError(
                    f"--out {folder.path}: the sweep there differs from this one in "
                    f"{', '.join(changed)}. Give {folder.sweep} to continue it, or another folder."
                )
        atomic_write(folder.sweep, text.encode())


def on_drawn_digits(sweep: Sweep) -> Sweep:
    """Return the sweep on the synthetic digits, which take MNIST's place."""
    return replace(sweep, changes={**sweep.changes, "data.dataset": "synthetic"})


def with_stored_fallback(sweep: Sweep, folder: SweepFolder) -> Sweep:
    """Return the sweep on the synthetic digits if the one in the folder had to fall back on them.

    Raises
    ------
    ConfigError, StorageError
        If `sweep.yaml` is damaged or cannot be read.
    """
    may_fall_back = trial_config(sweep, {}).data.fallback == "synthetic"
    if may_fall_back and exists(folder.sweep):
        stored = read_sweep(folder.sweep)
        if trial_config(stored, {}).data.dataset == "synthetic":
            return on_drawn_digits(sweep)
    return sweep


def check_same_data(dataset: Dataset, folder: SweepFolder) -> None:
    """Refuse to continue a sweep on other images, or keep the digests of its first ones.

    Raises
    ------
    DataError
        If the data are others.
    StorageError
        If the digests cannot be read or written.
    """
    found = {"name": dataset.name, "digests": dataset.train_digests}
    with folder.locked():
        stored = folder.read_json(folder.data)
        if stored is None:
            folder.write_json(folder.data, found)
        elif stored.get("digests") != found["digests"]:
            raise DataError(
                f"{dataset.name}: these are not the images that the sweep in {folder.path} was "
                "begun with. Put those back, or sweep the new ones in another folder."
            )


def _differences(stored: Sweep, sweep: Sweep) -> list[str]:
    """Return the keys in which they differ. The data may have moved, as they are compared."""
    before, now = stored.to_dict(), sweep.to_dict()
    if None not in (_place(stored), _place(sweep)):
        before, now = _placed(stored, "").to_dict(), _placed(sweep, "").to_dict()
    grown = stored.method == sweep.method != "grid" and sweep.trials > stored.trials
    allowed = {*MAY_CHANGE, *(["trials"] if grown else [])}
    return [key for key in before if before[key] != now[key] and key not in allowed]


def _place(sweep: Sweep) -> str | None:
    """Return the folder of the images, None if they are MNIST or drawn."""
    return trial_config(sweep, {}).data.path


def _placed(sweep: Sweep, path: str) -> Sweep:
    base = {key: value for key, value in sweep.base.items() if key != "data"}
    base["data"] = {**sweep.base.get("data", {}), "path": path}
    return replace(sweep, base=base, changes={**sweep.changes, "data.path": path})
