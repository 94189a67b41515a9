"""Going on with a run: whether a configuration is still the run's, and where it left off."""

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
from mlp_cli.training.trainer import State, Trainer

MAY_GROW = ("training.epochs",)

# Of the state, what every checkpoint of format 1 holds. A field that came later is optional.
FIRST_FIELDS = (
    "epoch", "position", "step", "loss_sum", "correct", "epoch_seconds", "training_seconds",
    "samples", "seconds", "best_epoch", "best_accuracy", "best_loss",
)  # fmt: skip


def restore(trainer: Trainer, checkpoint: Checkpoint, config: Config) -> None:
    """Put a trainer where a checkpoint left off.

    Raises
    ------
    CheckpointError
        If the checkpoint does not fit.
    """
    changed = [key for key in differences(trained_by(checkpoint), config) if key not in MAY_GROW]
    if changed:
        raise CheckpointError(
            f"{checkpoint.path}: it was trained by a configuration that differs from the run's in "
            f"{', '.join(changed)}. Put the run's own checkpoint there, or start again with "
            "--overwrite."
        )
    others = trainer.vectors.keys() - {"parameters", "statistics"}
    restore_parameters(trainer.network, checkpoint, others)
    for name in others:
        vector = trainer.vectors[name]
        vector[...] = checkpoint.array(name, vector.shape, vector.dtype)
    state = checkpoint.record("state", State, required=FIRST_FIELDS)
    n, K = len(trainer.dataset.train), trainer.K
    whole = state.position == n or (state.position < n and state.position % K == 0)
    if not whole or state.step != state.epoch * -(-n // K) - (-state.position // K):
        raise CheckpointError(
            f"{checkpoint.path}: it stands at step {state.step}, {state.epoch} epochs and "
            f"{state.position} images on, which in batches of {K} out of {n} images is not so. "
            "Give the data that it was trained on, or start again with --overwrite."
        )
    trainer.state = state


def environment_warnings(checkpoint: Checkpoint, environment: dict[str, Any]) -> list[str]:
    """Return the warning that a checkpoint was written elsewhere, if it was.

    Raises
    ------
    CheckpointError
        If it does not say where.
    """
    then = checkpoint.header.get("environment")
    if not isinstance(then, dict):
        raise checkpoint.unfit("its header holds no environment")
    changed = differing(then, environment)
    if not changed:
        return []
    # What a file says may not reach the terminal's controls.
    said = "".join(c if c.isprintable() else " " for c in "; ".join(changed))[:400]
    return [
        "resumed on another machine or build, so the last bits may differ from a run "
        f"that was never stopped ({said})."
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
