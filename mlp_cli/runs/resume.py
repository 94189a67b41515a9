"""Continuing a run: whether a configuration is still that of the run, and where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlp_cli.compute.machine import differing
from mlp_cli.config.load import differences, load_config
from mlp_cli.config.schema import Config
from mlp_cli.errors import CheckpointError, ConfigError
from mlp_cli.inference.model import restore_parameters, trained_by
from mlp_cli.runs.folder import RunFolder
from mlp_cli.storage.checkpoint import Checkpoint
from mlp_cli.training.trainer import Trainer

MAY_GROW = ("training.epochs",)


def restore(trainer: Trainer, checkpoint: Checkpoint, config: Config) -> None:
    """Put a trainer where a checkpoint stopped.

    Raises
    ------
    CheckpointError
        If the checkpoint does not fit.
    """
    changed = [key for key in differences(trained_by(checkpoint), config) if key not in MAY_GROW]
    if changed:
        raise CheckpointError(
            f"{checkpoint.path}: its configuration differs from the run's in "
            f"{', '.join(changed)}. Put the run's own checkpoint there, or start again with "
            "--overwrite."
        )
    others = trainer.vectors.keys() - {"parameters", "statistics"}
    restore_parameters(trainer.network, checkpoint, others)
    for name in others:
        vector = trainer.vectors[name]
        vector[...] = checkpoint.array(name, vector.shape, vector.dtype)
    state = checkpoint.state()
    n, K = len(trainer.dataset.train), trainer.K
    whole = state.position == n or (state.position < n and state.position % K == 0)
    if not whole or state.step != state.epoch * -(-n // K) - (-state.position // K):
        raise CheckpointError(
            f"{checkpoint.path}: its position (step {state.step}, epoch {state.epoch}, image "
            f"{state.position}) is impossible with batch size {K} and {n} images. Give the data "
            "that it was trained on, or start again with --overwrite."
        )
    trainer.state = state


def environment_warnings(checkpoint: Checkpoint, environment: dict[str, Any]) -> list[str]:
    """Return the warning that a checkpoint was written by another machine or build, if it was.

    Raises
    ------
    CheckpointError
        If it holds no record of the machine.
    """
    changed = differing(checkpoint.environment(), environment)
    if not changed:
        return []
    # Text from a file must not control the terminal.
    said = "".join(c if c.isprintable() else " " for c in "; ".join(changed))[:400]
    return [
        "resumed on another machine or build, so the last bits may differ from a run "
        f"that was never stopped ({said})."
    ]


def stored_config(folder: RunFolder) -> Config | None:
    """Return the configuration of the run in a folder, None if there is no run yet.

    Raises
    ------
    ConfigError
        If it is not a configuration.
    """
    return load_config(folder.config) if folder.env.exists() and folder.config.exists() else None


def resumable(config: Config, stored: Config, out: Path) -> Config:
    """Return the configuration to continue with, after checking that it is the stored one.

    Raises
    ------
    ConfigError
        If they differ. Only more epochs are allowed, if nothing depends on their number.
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
