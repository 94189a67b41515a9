"""Compare trained networks with one of them, image by image.

Two networks are compared on the images that both held out for validation. If they held out
different images, so that one was trained on what the other would be scored on, the test set is
used, but only if both configurations allow that (`data.test`): it must not be used to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlp_cli.data.identity import same_test_data
from mlp_cli.errors import CheckpointError, ConfigError, DataError, StorageError
from mlp_cli.inference.evaluate import evaluate, hold_out_the_same, load_data
from mlp_cli.inference.evaluation import Evaluation
from mlp_cli.inference.mcnemar import LEVEL, mcnemar
from mlp_cli.inference.model import Model, load

UNFIT = (CheckpointError, ConfigError, DataError, StorageError)  # only this network is not compared


class Difference(NamedTuple):
    """How a network differs from the reference on the same n images.

    `images` is the name of the split, or None if there is none that is fair to both; `reason` then
    says why. `only_reference` and `only_this` count the images that only one of the two classifies
    right, and `p` is of McNemar's exact test.
    """

    images: str | None
    reason: str = ""
    n: int = 0
    only_reference: int = 0
    only_this: int = 0
    p: float = 1.0

    @property
    def error(self) -> float:
        """The error rate minus that of the reference: above 0 if the network is worse."""
        return (self.only_reference - self.only_this) / self.n

    @property
    def verdict(self) -> str:
        """Say in words how the network compares with the reference."""
        if self.images is None:
            return "not compared"
        if self.p >= LEVEL:
            return "not distinguishable"
        return "worse" if self.error > 0 else "better"


def differences(
    reference: Path, others: Sequence[Path], data_dir: Path, warn: Callable[[str], object]
) -> list[Difference]:
    """Compare networks with a reference, each on images that are fair to both.

    Parameters
    ----------
    reference, others
        The folders of runs.
    data_dir
        Where MNIST lies, in a folder `mnist`.
    warn
        Is told if the test set is not the one that was there when the reference was trained.

    Raises
    ------
    MlpError
        If the reference or its data are missing, damaged or do not fit; the subclass says which.
    """
    first = load(reference)

    @cache
    def score_reference(split: str) -> Evaluation:
        dataset = load_data([first], split, data_dir, None, warn)
        images = dataset.validation if split == "validation" else dataset.test
        assert images is not None  # the test set was asked for
        return evaluate([first], images, (dataset.name, split))

    def compare(path: Path) -> Difference:
        try:
            model = load(path)
        except UNFIT as error:
            return Difference(None, str(error))
        split = fair_split(model, first)
        if split is None:
            return Difference(
                None,
                "the two did not hold out the same validation images, as runs of one seed do, "
                "and one was trained without the test set (data.test: false) or with another one",
            )
        known = score_reference(split)
        try:
            found = evaluate([model], known.source, (known.dataset, split))
        except UNFIT as error:
            return Difference(None, str(error))
        return _difference(known, found)

    return [compare(path) for path in others]


def fair_split(a: Model, b: Model) -> str | None:
    """Return the split on which two networks may be compared, None if there is none."""
    if a.config.data.validation and hold_out_the_same(a, b):
        return "validation"
    both_tested = a.config.data.test and b.config.data.test
    return "test" if both_tested and same_test_data(a.data, b.data) else None


def _difference(known: Evaluation, found: Evaluation) -> Difference:
    reference_right = known.predictions == known.true_labels
    this_right = found.predictions == found.true_labels
    only_reference = int(np.count_nonzero(reference_right & ~this_right))
    only_this = int(np.count_nonzero(this_right & ~reference_right))
    p = mcnemar(only_reference, only_this)
    return Difference(known.split, "", len(known.predictions), only_reference, only_this, p)
