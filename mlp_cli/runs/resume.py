"""Continuing a run: whether a configuration is still that of the run, and where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlp_cli.compute.machine import differing
from mlp_cli.config.load import differences, load_config
from mlp_cli.config.schema import Config
from mlp_cli.errors import CheckpointError, ConfigError, StorageError
from mlp_cli.inference.model import restore_parameters, trained_by
from mlp_cli.runs.folder import RunFolder
from mlp_cli.storage.checkpoint import Checkpoint, load_checkpoint
from mlp_cli.storage.files import exists
from mlp_cli.storage.header import State
from mlp_cli.training.divergence import STEPS, ExaminedStep
from mlp_cli.training.trainer import Trainer

MAY_GROW = ("training.epochs",)

Warn = Callable[[str], object]


def restore(trainer: Trainer, checkpoint: Checkpoint, config: Config) -> None:
    """Put a trainer where a checkpoint stopped.

    Raises
    ------
    CheckpointError
        If the checkpoint does not fit.
    """
    changed = [key for key in _differences(trained_by(checkpoint), config) if key not in MAY_GROW]
    if changed:
        raise CheckpointError(
            f"{checkpoint.path}: its configuration differs from the run's in "
            f"{', '.join(changed)}. Put the run's own checkpoint there, or start again with "
            "--overwrite."
        )
    others = trainer.vectors.keys() - {"parameters", "statistics"}
    network = trainer.network
    decoder = network.named_decoder(network.parameters)
    restore_parameters(network, checkpoint, [*others, *decoder])
    for name, array in decoder.items():
        array[...] = checkpoint.array(name, array.shape, array.dtype)
    for name in others:
        vector = trainer.vectors[name]
        vector[...] = checkpoint.array(name, vector.shape, vector.dtype)
    state = checkpoint.state()
    n, K = len(trainer.dataset.train), trainer.K
    whole = state.position == n or (state.position < n and state.position % K == 0)
    if not whole or state.step != state.epoch * -(-n // K) - (-state.position // K):
        raise CheckpointError(
            f"{checkpoint.path}: its position (step {state.step}, epoch {state.epoch}, image "
            f"{state.position}) is impossible with batch size {K} and {n} images. If the data have "
            "changed, put back those that it was trained on, or start again with --overwrite."
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


def stored_config(folder: RunFolder, warn: Warn) -> Config | None:
    """Return the configuration of the run in a folder, None if there is no run yet.

    If `config.yaml` is missing, it is the one in the header of a checkpoint, and `warn` is told.

    Raises
    ------
    ConfigError
        If it is not a configuration, or if there is a run and nothing holds its configuration.
    CheckpointError
        If the checkpoint that should hold it is damaged.
    """
    has_trained = folder.has_trained  # first: another process may write last.npz just now
    if exists(folder.config):
        return load_config(folder.config, warn=lambda _: None)  # its training was warned of it
    for path in (folder.last, folder.best):
        if exists(path):
            config = trained_by(load_checkpoint(path))
            warn(f"{folder.config} is missing. The configuration is taken from {path.name}.")
            return config
    if has_trained:
        raise _incomplete(folder, "config.yaml and last.npz are missing", "them")
    return None


def stored_result(folder: RunFolder, warn: Warn, *, longer: bool) -> dict[str, Any] | None:
    """Return the result of a finished run, None if the run has to continue.

    `warn` is told which of the run's files are missing. If `last.npz` is there, a finished run
    continues too whose `result.json` is damaged, or whose `env.json` or `config.yaml` is missing:
    then it writes them again.

    Parameters
    ----------
    folder, warn
        The run, and what to call with a warning.
    longer
        Whether more epochs are wanted than the run has.

    Raises
    ------
    ConfigError
        If the run has to continue, but `last.npz` is missing.
    StorageError
        If `result.json` cannot be read.
    """
    result = None
    try:
        result = None if longer else folder.read_result()
    except StorageError as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        warn(f"{folder.result} is damaged: {error.__cause__}. It is written again.")
    files = (folder.env, folder.config, folder.metrics, folder.last, folder.best)
    missing = [path.name for path in files if not exists(path)]
    has_trained = folder.has_trained
    can_continue = exists(folder.last)
    rewritten = can_continue and {"env.json", "config.yaml"}.intersection(missing)
    if result is not None and not rewritten:
        if missing:
            warn(
                f"{folder.path}: the run is finished, but these are missing: {', '.join(missing)}."
            )
        return result
    if has_trained and not can_continue:
        raise _incomplete(folder, "last.npz is missing", "it")
    if can_continue and "env.json" in missing:
        warn(f"{folder.env} is missing. It is written again, for the versions of this sitting.")
    return None


def check_best(folder: RunFolder, state: State) -> None:
    """Check that `best.npz` is there and whole, if the training of `state` relies on it.

    Raises
    ------
    ConfigError
        If it is missing.
    CheckpointError
        If it is damaged.
    """
    if state.best_epoch is None:
        return
    if not exists(folder.best):
        raise _incomplete(folder, "best.npz is missing", "it")
    load_checkpoint(folder.best)


def joined(earlier: Sequence[ExaminedStep], steps: Sequence[ExaminedStep]) -> list[ExaminedStep]:
    """Put the steps of an earlier report before `steps`, if they lead to the first of them.

    A diverged run that is resumed diverges at once, and has no other record of the steps before.
    """
    before = [step for step in earlier if step.step < steps[0].step]
    if not before or before[-1].step + 1 != steps[0].step:
        before = []
    return [*before, *steps][-STEPS:]


def _incomplete(folder: RunFolder, what: str, them: str) -> ConfigError:
    return ConfigError(
        f"--resume {folder.path}: {what}, so the run cannot continue. Put {them} back, or start "
        "again with --overwrite."
    )


def resumable(config: Config, stored: Config, out: Path) -> Config:
    """Return the configuration to continue with, after checking that it is the stored one.

    Raises
    ------
    ConfigError
        If they differ. More epochs are allowed, if nothing depends on their number; and another
        folder of the data, because `same_data` compares the data.
    """
    if stored.data.dataset == "synthetic" and config.data.fallback == "synthetic":
        data = config.data.model_copy(update={"dataset": "synthetic"})
        config = config.model_copy(update={"data": data})
    changed = _differences(stored, config)
    fixed = config.schedule.depends_on_length or config.distortion.ease > 0
    if not fixed and config.training.epochs > stored.training.epochs:
        changed = [key for key in changed if key != "training.epochs"]
    if changed:
        raise ConfigError(
            f"--resume {out}: the configuration differs from the run's in {', '.join(changed)}. "
            f"Resume with {out / 'config.yaml'}, or train the new configuration in another folder."
        )
    return config


def _differences(stored: Config, config: Config) -> list[str]:
    """Return the keys in which they differ, without `data.path` if both name a folder."""
    place = None not in (stored.data.path, config.data.path)
    return [key for key in differences(stored, config) if key != "data.path" or not place]
