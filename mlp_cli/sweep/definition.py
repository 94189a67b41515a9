"""A sweep: what its file says, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlp_cli.config.yaml12 import dump
from mlp_cli.sweep.space import Choices, Space

METHODS = ("grid", "random", "tpe", "cmaes")
MINIMISED = ("val_error", "val_loss")


@dataclass(frozen=True)
class Pruning:
    """When a trial ends early: `rule` is "none", "median" or "halving".

    With "median", a trial ends if its best value is worse than the median of the others at the
    same epoch; not in its first `warmup` epochs, and not before `trials` others have come so far.
    With "halving", only the best of `factor` trials go on at epoch `first`, at `first` × `factor`,
    and so on.
    """

    rule: str = "none"
    warmup: int = 1
    trials: int = 5
    first: int = 1
    factor: int = 3


# The keys of each rule, besides its name.
PRUNING_KEYS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "median": ("warmup", "trials"),
    "halving": ("first", "factor"),
}


@dataclass(frozen=True)
class Confirm:
    """The best `top` trials are trained again with `seeds` fresh seeds."""

    top: int = 0
    seeds: int = 5


@dataclass(frozen=True)
class Sweep:
    """A search for the best values of some keys.

    Attributes
    ----------
    base
        The configuration that all trials start from, as data. It is not filled with defaults,
        because the defaults of one choice do not go with another.
    changes
        Changes of it for all trials, by dotted key.
    space, method, trials
        What is searched, how, and how many trials there are.
    seeds
        The number of runs of each trial; their seeds count up from the configuration's.
    minimise
        What is compared, at a run's best epoch: "val_error" or "val_loss".
    time_limit
        Seconds of training, of all runs together, after which no new trial starts; None for no
        limit.
    seed
        The seed of the search.
    """

    base: Mapping[str, Any]
    changes: Mapping[str, Any]
    space: Space
    method: str
    trials: int
    seeds: int = 1
    minimise: str = "val_error"
    prune: Pruning = field(default_factory=Pruning)
    confirm: Confirm = field(default_factory=Confirm)
    time_limit: float | None = None
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the sweep as data, as its file could say it."""
        search: dict[str, Any] = {}
        for dimension in self.space.dimensions:
            domain = dimension.domain
            if isinstance(domain, Choices):
                entry: Any = list(domain.values)
                if dimension.condition:
                    entry = {"choices": entry}
            else:
                entry = {"low": domain.low, "high": domain.high}
                entry |= {"log": True} if domain.log else {}
                entry |= {"step": domain.step} if domain.step is not None else {}
            if dimension.condition:
                entry["if"] = {key: list(of) for key, of in dimension.condition.items()}
            search[dimension.key] = entry
        prune = {key: getattr(self.prune, key) for key in PRUNING_KEYS[self.prune.rule]}
        return {
            "config": dict(self.base),
            "set": dict(self.changes),
            "search": search,
            "method": self.method,
            "trials": self.trials,
            "seeds": self.seeds,
            "minimise": self.minimise,
            "prune": {"rule": self.prune.rule, **prune},
            "confirm": {"top": self.confirm.top, "seeds": self.confirm.seeds},
            "time_limit": self.time_limit,
            "seed": self.seed,
        }

    def to_yaml(self) -> str:
        """Return the text of `sweep.yaml`."""
        return dump(self.to_dict())
