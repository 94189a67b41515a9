"""Several trained networks that answer as one: by the mean of their log-probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlp_cli.data.dataset import Split
from mlp_cli.errors import CheckpointError
from mlp_cli.inference.averaging import Averaging, averaged
from mlp_cli.inference.model import Model
from mlp_cli.nn.buffers import Array


def check_committee(models: Sequence[Model]) -> None:
    """Check that networks take the same images and know the same classes.

    Raises
    ------
    CheckpointError
        If they do not.
    """
    first = models[0]
    for model in models:
        if (model.image_shape, model.classes) != (first.image_shape, first.classes):
            raise CheckpointError(
                f"{model.path} takes images of {model.image_shape} in {model.classes} classes, "
                f"{first.path} of {first.image_shape} in {first.classes}: they are no committee."
            )
        if model.names and first.names and model.names != first.names:
            raise CheckpointError(
                f"{model.path} and {first.path} have other names for their classes, or another "
                "order of them: they are no committee."
            )


def log_probabilities(
    models: Sequence[Model],
    split: Split,
    averaging: Averaging | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Array:
    """Return the log-probabilities (n, classes) of a committee, or of a single network.

    Those of a committee are the mean of its members', normalised so that the probabilities sum
    to 1. With `averaging`, they are the mean over its members and the distortions of an image, and
    `progress` is told how many distortions are classified, of how many.
    """
    if averaging is None:
        votes = [model.network.loss.log_probabilities(model.logits(split)) for model in models]
        if len(votes) == 1:
            return votes[0]
    else:
        done, total = 0, len(models) * len(split) * averaging.distortions

        def tell(more: int) -> None:
            nonlocal done
            done += more
            progress(done, total)

        votes = [averaged(model, split, averaging, tell) for model in models]
    mean: Array = np.mean(votes, axis=0, dtype=np.float64)
    mean -= np.logaddexp.reduce(mean, axis=1, keepdims=True)
    return mean
