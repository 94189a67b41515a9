"""The values of each trial: of a grid, random, or chosen by Optuna from the trials before.

The study of TPE or CMA-ES lives in memory and is made anew from the folders whenever a trial is
asked for, so there is nothing that a kill could damage. TPE follows Bergstra et al. (2011), CMA-ES
Hansen (2016); both are Optuna's.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

from mlp_cli.errors import ConfigError
from mlp_cli.nn.rng import generator
from mlp_cli.sweep.definition import Sweep
from mlp_cli.sweep.history import History
from mlp_cli.sweep.space import Choices, Dimension, Range, Values

ASKING = ("tpe", "cmaes")  # methods that look at the trials before


def check_installed(sweep: Sweep) -> None:
    """Check that the libraries of the method are installed.

    Raises
    ------
    ConfigError
        If one is missing.
    """
    needed = {"tpe": ["optuna"], "cmaes": ["optuna", "cmaes"]}.get(sweep.method, [])
    for name in needed:
        if find_spec(name) is None:
            raise ConfigError(
                f"method: {sweep.method} needs the package {name}. Run: "
                "pip install 'mlp-cli[sweep]', or take grid or random."
            )


class Searcher:
    """Gives each trial its values.

    Those of a grid and of a random search follow from the trial's number. Those that TPE or CMA-ES
    choose are kept in the trial's folder.
    """

    def __init__(self, history: History) -> None:
        self._history, self._sweep = history, history.sweep
        self._grid = list(self._sweep.space.grid()) if self._sweep.method == "grid" else []
        self.asks = self._sweep.method in ASKING

    def values(self, number: int) -> Values:
        """Return the values of a trial that exists.

        Raises
        ------
        StorageError
            If the file that holds them is damaged.
        """
        if self.asks:
            folder = self._history.folder
            return folder.read_json(folder.values(number)) or {}
        if self._grid:
            return self._grid[number]
        return self._sweep.space.random(self._sweep.seed, number)

    def ask(self, number: int) -> Values:
        """Choose the values of a new trial by the trials before it.

        The caller holds the lock of the sweep. A trial that is still running counts as a bad one,
        so that processes that ask at the same time search at different places.
        """
        import optuna
        from optuna.trial import TrialState, create_trial

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = int(generator(self._sweep.seed, "ask", number).integers(2**31))
        dimensions = self._sweep.space.dimensions
        conditional = any(dimension.condition for dimension in dimensions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler: Any
            if self._sweep.method == "tpe":
                sampler = optuna.samplers.TPESampler(
                    seed=seed, multivariate=True, group=conditional, constant_liar=True
                )
            else:
                sampler = optuna.samplers.CmaEsSampler(seed=seed)
            study = optuna.create_study(sampler=sampler)
            for before in range(number):
                state = self._history.trial(before)
                values = self.values(before)
                told: dict[str, Any] = {"state": TrialState.RUNNING}
                if state.state in ("finished", "diverged"):
                    told = {"state": TrialState.COMPLETE, "value": state.value}
                elif state.state == "pruned":
                    curve = self._history.curve(before)
                    reported = dict(enumerate(curve, 1))
                    told = {"state": TrialState.PRUNED, "intermediate_values": reported}
                elif state.state == "failed":
                    told = {"state": TrialState.FAIL}
                applied = [d for d in dimensions if d.key in values]
                study.add_trial(
                    create_trial(
                        params={d.key: _inner(d, values[d.key]) for d in applied},
                        distributions={d.key: _distribution(d) for d in applied},
                        **told,
                    )
                )
            trial, chosen = study.ask(), Values()
            for dimension in dimensions:
                if dimension.applies(chosen):
                    chosen[dimension.key] = _suggest(trial, dimension)
        return chosen


def _distribution(dimension: Dimension) -> Any:
    from optuna import distributions

    domain = dimension.domain
    if isinstance(domain, Choices):  # by their positions, since Optuna takes no lists
        return distributions.CategoricalDistribution(range(len(domain.values)))
    if domain.whole:
        step = 1 if domain.step is None else int(domain.step)
        return distributions.IntDistribution(int(domain.low), _last(domain, step), domain.log, step)
    high = domain.high if domain.step is None else _last(domain, domain.step)
    return distributions.FloatDistribution(domain.low, high, domain.log, domain.step)


def _last(domain: Range, step: float) -> Any:
    """Return the last multiple of a step in a range; Optuna would warn of another end."""
    return domain.grid[-1] if domain.grid else int(domain.high)


def _suggest(trial: Any, dimension: Dimension) -> Any:
    key, domain, of = dimension.key, dimension.domain, _distribution(dimension)
    if isinstance(domain, Choices):
        return domain.values[trial.suggest_categorical(key, of.choices)]
    suggest = trial.suggest_int if domain.whole else trial.suggest_float
    return domain.nearest(suggest(key, of.low, of.high, step=of.step, log=of.log))


def _inner(dimension: Dimension, value: Any) -> Any:
    """Return a value as Optuna knows it."""
    if isinstance(dimension.domain, Choices):
        return dimension.domain.values.index(value)
    return value
