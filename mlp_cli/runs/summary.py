"""What a training tells when it starts, and when it is stopped."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlp_cli.config.schema import Config
from mlp_cli.config.sections import Section
from mlp_cli.data.dataset import Dataset
from mlp_cli.errors import visible
from mlp_cli.storage.header import State
from mlp_cli.training.trainer import Trainer


def summary(config: Config, trainer: Trainer, folder: Path, environment: Mapping[str, Any]) -> str:
    """Return a few lines about a training: what is trained, on what, how, and where it goes on.

    Parameters
    ----------
    config, trainer
        The configuration, and the trainer at the place where it starts.
    folder, environment
        The run's folder, and the record of the machine.
    """
    network, steps = trainer.network, -(-len(trainer.dataset.train) // trainer.K)
    parameters = network.size
    lines = {
        "run": str(folder),
        "data": _data(trainer.dataset),
        "network": f"{'-'.join(map(str, network.sizes))}, {config.model.activation}, "
        f"{parameters:,} parameters",
        "optimizer": _choice(config.optimizer, also=("learning_rate",)),
        "schedule": _choice(config.schedule),
        "training": f"{_several(config.training.epochs, 'epoch')} of {_several(steps, 'step')}, "
        f"batch size {trainer.K}",
        "computed by": f"{_several(environment['threads'], 'thread')}, {environment['kernels']}",
    }
    if trainer.state.step:
        lines["continued"] = _place(trainer.state)
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {visible(text)}" for name, text in lines.items())


def how_to_go_on(trainer: Trainer, folder: Path, options: Sequence[str]) -> str:
    """Return what to tell when a training was stopped: where, and the command that continues it.

    `options` are further options that the command needs.
    """
    command = shlex.join(["mlp", "train", "--resume", "--out", str(folder), *options])
    return f"Stopped and saved {_place(trainer.state)}. To go on:\n  {command}"


def _data(dataset: Dataset) -> str:
    splits = {
        "training": dataset.train,
        "validation": dataset.validation,
        "test": dataset.test or (),
    }
    counts = [f"{len(split):,} {name}" for name, split in splits.items() if len(split)]
    return f"{dataset.name}: {', '.join(counts)} images"


def _choice(section: Section, also: Sequence[str] = ()) -> str:
    """Return the name of a choice, with its keys that differ from their defaults and `also`."""
    fields = type(section).model_fields
    values = section.model_dump()
    name = values.pop("name")
    told = [
        key.replace("_", " ") + ("" if value is True else f" {value:g}")
        for key, value in values.items()
        if key in also or value != fields[key].default
    ]
    return ", ".join([name, *told])


def _place(state: State) -> str:
    if state.position:
        return f"in epoch {state.epoch + 1}, after step {state.step:,}"
    return f"after epoch {state.epoch}, step {state.step:,}"


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
