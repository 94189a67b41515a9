"""`mlp`'s trainer, made as `mlp train` makes it.

Like the command line, this module fixes the threads before anything imports NumPy. So it imports
the rest of the project inside its functions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workload import Workload

if TYPE_CHECKING:
    from mlp_cli.config.schema import Config
    from mlp_cli.training.trainer import Trainer

# The sets of kernels, each with the environment that selects it. Each is a separate contender.
KERNELS: dict[str, dict[str, str]] = {
    "numpy": {"MLP_KERNELS": "numpy"},
    "fast": {"MLP_KERNELS": "fast"},
}


# The package that each set needs.
PACKAGES = {"numpy": "mlp_cli", "fast": "numba"}


def installed_kernels() -> list[str]:
    """Return the names of the kernels that are installed."""
    return [name for name in KERNELS if find_spec(PACKAGES[name]) is not None]


def threads_by_rule(kernels: str, hidden: Sequence[int], batch: int) -> int:
    """Return the number of threads that `mlp train` chooses by default."""
    from mlp_cli.compute.select import choose_threads

    return choose_threads(None, hidden, batch, kernels == "fast", {})


def settings(work: Workload, *, validation: int, epochs: int) -> dict[str, Any]:
    """Return a workload as a configuration."""
    momentum = {"momentum": work.momentum} if work.momentum else {}
    return {
        "data": {"path": work.data, "validation": validation},
        "model": {"hidden": list(work.hidden)},
        "optimizer": {"name": work.optimizer, "learning_rate": work.learning_rate, **momentum},
        "training": {"epochs": epochs, "batch_size": work.batch, "dtype": work.dtype},
    }


def fix_threads(config: Config, option: int | None) -> int:
    """Return the number of threads, and limit BLAS to one; NumPy must not be loaded yet."""
    from mlp_cli.compute.select import choose_threads, hold_blas, want_fast

    hidden, batch = config.model.hidden, config.training.batch_size
    threads = choose_threads(option, hidden, batch, want_fast(os.environ), os.environ)
    hold_blas(os.environ)
    return threads


def train_epoch(trainer: Trainer) -> None:
    """Train one epoch with the bare training loop."""
    trainer.train_epoch(lambda loss: False)


class Ours:
    """A training by `mlp`."""

    def __init__(self, work: Workload, option: int) -> None:
        from mlp_cli.config.load import from_dict

        endless = settings(work, validation=0, epochs=1_000_000)
        self._config = from_dict(endless, "the benchmark")
        threads = fix_threads(self._config, option)

        from mlp_cli.compute.machine import describe
        from mlp_cli.compute.select import choose_kernels, want_fast
        from mlp_cli.compute.threads import ThreadTeam
        from mlp_cli.data.dataset import load_dataset

        self._team, self._kernels = ThreadTeam(threads), choose_kernels(want_fast(os.environ))
        dataset = load_dataset(self._config, Path())
        train = replace(dataset.train, rows=dataset.train.rows[: work.samples])
        self._dataset = replace(dataset, train=train)
        self.samples = len(train)
        found = describe(threads, self._kernels.name)
        self.about = f"kernels {found['kernels']}, NumPy {found['numpy']}, {found['blas']}"

    def start(self, seed: int) -> None:
        """Begin a new training."""
        from mlp_cli.training.build import build_trainer

        config = self._config.model_copy(update={"seed": seed})
        self._trainer = build_trainer(config, self._dataset, self._team, self._kernels)

    def epoch(self) -> None:
        """Train on every image once, in a new order."""
        train_epoch(self._trainer)

    def accuracy(self) -> float:
        """Return the accuracy on the test images."""
        from mlp_cli.training.scoring import Scorer

        trainer, test = self._trainer, self._dataset.test
        assert test is not None
        scorer = Scorer(trainer.network, test, trainer.mean, trainer.std, self._team)
        return scorer.score().accuracy


def contender(work: Workload, threads: int) -> Ours:
    """Make the contender."""
    return Ours(work, threads)
