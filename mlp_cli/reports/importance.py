"""Which keys of a configuration mattered for the error, by Optuna's PED-ANOVA."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST = 10  # runs, below which an importance would be chance
MISSING = (
    "which key mattered is not drawn: it needs the extra `sweep`: pip install 'mlp-cli[sweep]'"
)


def is_installed() -> bool:
    """Return whether Optuna is installed."""
    return find_spec("optuna") is not None


def importances(
    settings: Sequence[Mapping[str, Any]], errors: Sequence[float]
) -> dict[str, float] | None:
    """Return how much each key mattered, as shares of 1, or None if there are too few runs.

    PED-ANOVA compares the values of the best tenth of the runs with those of all runs (Watanabe et
    al., IJCAI 2023). Only keys that all runs have count.

    Parameters
    ----------
    settings, errors
        For each run its values by key, and its error.
    """
    import optuna  # the import is slow, and needs the extra

    keys = [key for key in settings[0] if all(key in of for of in settings)] if settings else []
    columns = {key: [of[key] for of in settings] for key in keys}
    columns = {key: column for key, column in columns.items() if len(set(column)) > 1}
    if len(errors) < FEWEST or not columns or len(set(errors)) == 1:
        return None
    found = {key: _distribution(column) for key, column in columns.items()}
    is_choice = {
        key: isinstance(of, optuna.distributions.CategoricalDistribution)
        for key, of in found.items()
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of each study
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for row, error in enumerate(errors):
        values = {
            key: str(column[row]) if is_choice[key] else float(column[row])
            for key, column in columns.items()
        }
        study.add_trial(optuna.trial.create_trial(params=values, distributions=found, value=error))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def is_numeric(column: Sequence[Any]) -> bool:
    """Return whether all values are numbers."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)


def is_logarithmic(column: Sequence[Any]) -> bool:
    """Return whether numbers spread so widely above 0 that their logarithms are better shown."""
    return min(column) > 0 and math.log10(max(column) / min(column)) > 1


def _distribution(column: Sequence[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if is_numeric(column):
        return FloatDistribution(min(column), max(column), log=is_logarithmic(column))
    return CategoricalDistribution(sorted({str(value) for value in column}))
