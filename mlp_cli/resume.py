"""Going on with a run: whether a configuration is still the run's, and where it left off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlp_cli.checkpoint import Checkpoint
from mlp_cli.config import Config, differences, load_config
from mlp_cli.environment import differing
from mlp_cli.errors import CheckpointError, ConfigError
from mlp_cli.evaluate import restore_parameters
from mlp_cli.rundir import RunFolder
from mlp_cli.trainer import State, Trainer


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put a trainer where a checkpoint left off.

    Raises
    ------
    CheckpointError
        If the checkpoint does not fit.
    """
    restore_parameters(trainer.network, checkpoint)
    for name in trainer.vectors.keys() - {"parameters", "statistics"}:
        trainer.vectors[name][...] = checkpoint.array(name, trainer.vectors[name].shape)
    try:
        trainer.state = State(**checkpoint.header["state"])
    except (LookupError, TypeError) as error:
        raise CheckpointError(
            f"{checkpoint.path}: its header holds no state to resume from: {error}. "
            "Start again with --overwrite."
        ) from error


def moved(checkpoint: Checkpoint, environment: dict[str, Any]) -> list[str]:
    """Return the warning that a checkpoint was written elsewhere, if it was.

    Raises
    ------
    CheckpointError
        If it does not say where.
    """
    then = checkpoint.header.get("environment")
    if not isinstance(then, dict):
        raise CheckpointError(
            f"{checkpoint.path}: its header does not say what it was made on. "
            "Start again with --overwrite."
        )
    changed = differing(then, environment)
    if not changed:
        return []
    return [
        "resumed on another machine or build, so the last bits may differ from a run "
        f"that was never stopped ({'; '.join(changed)})."
    ]


def stored_config(folder: RunFolder) -> Config | None:
    """Return the configuration of the run in a folder, None where there is none yet.

    Raises
    ------
    ConfigError
        If what is there is no configuration.
    """
    return load_config(folder.config) if folder.env.exists() and folder.config.exists() else None


def resumable(config: Config, stored: Config, out: Path) -> Config:
    """Return the configuration to go on with, after checking that it is the stored one.

    Raises
    ------
    ConfigError
        If they differ in more than a longer training whose schedule does not mind.
    """
    if stored.data.dataset == "synthetic" and config.data.fallback == "synthetic":
        data = config.data.model_copy(update={"dataset": "synthetic"})
        config = config.model_copy(update={"data": data})
    changed = differences(stored, config)
    fixed = config.schedule.depends_on_length or config.distortion.ease > 0
    if not fixed and config.training.epochs > stored.training.epochs:
        changed = [key for key in changed if key != "training.epochs"]
    if changed:
        raise ConfigError(
            f"--resume {out}: the configuration differs from the run's in {', '.join(changed)}. "
            f"Resume with {out / 'config.yaml'}, or train the new configuration in another folder."
        )
    return config
