"""The configuration of each run of a sweep."""

from __future__ import annotations

from typing import NamedTuple

from mlp_cli.config.load import load_config
from mlp_cli.config.schema import Config
from mlp_cli.sweep.definition import Sweep
from mlp_cli.sweep.space import Values


class Job(NamedTuple):
    """A run of a sweep: a trial's number, the seed, and whether it confirms the trial."""

    trial: int
    seed: int
    confirms: bool = False


def trial_config(sweep: Sweep, values: Values, seed: int | None = None) -> Config:
    """Return the configuration of a trial; without a seed, it keeps that of the base.

    Raises
    ------
    ConfigError
        If the values do not go together.
    """
    changes = {**sweep.changes, **values, "data.test": False}
    if seed is not None:
        changes["seed"] = seed
    return load_config(sweep.base, set=changes, warn=lambda _: None)


def first_seed(sweep: Sweep) -> int:
    """Return the seed of each trial's first run."""
    return int(sweep.changes.get("seed", sweep.base.get("seed", 0)))


def trial_seeds(sweep: Sweep) -> range:
    """Return the seeds of each trial."""
    first = first_seed(sweep)
    return range(first, first + sweep.seeds)


def fresh_seeds(sweep: Sweep) -> range:
    """Return the seeds of the runs that confirm a trial."""
    first = first_seed(sweep) + sweep.seeds
    return range(first, first + sweep.confirm.seeds)
