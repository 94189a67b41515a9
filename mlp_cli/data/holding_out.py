"""Which training images are held out for validation, and which of the others are trained on.

Both are taken from one order of all images, a function of the seed: first the held-out images, then
those to train on. So `data.limit` does not change the held-out images, and the images of a smaller
limit are among those of a larger one. With `data.stratify`, each class is taken from in this order,
so the second holds class by class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlp_cli.config.schema import Config
from mlp_cli.errors import ConfigError
from mlp_cli.nn.buffers import Pixels, Rows
from mlp_cli.nn.rng import generator


def hold_out(labels: Pixels, config: Config, name: str) -> tuple[Rows, Rows]:
    """Return the rows to train on and the held-out rows, each in ascending order.

    Parameters
    ----------
    labels
        (n,), of all training images.
    config
        Its `seed`, `data.validation`, `data.stratify` and `data.limit`.
    name
        That of the data set, for messages.

    Raises
    ------
    ConfigError
        If there are too few training images to hold out `data.validation` of them, or fewer than
        `data.limit` are left.
    """
    data, n = config.data, len(labels)
    classes = np.bincount(labels)
    spare = n - (np.count_nonzero(classes) if data.stratify else 1)
    if data.validation > spare:
        why = " and data.stratify leaves one of each class" if data.stratify else ""
        raise ConfigError(
            f"data.validation: cannot hold out {data.validation} images, because {name} has {n} "
            f"training images{why}. Give a number below {spare + 1}."
        )
    order = generator(config.seed, "validation").permutation(n)
    left = n - data.validation
    if data.limit is not None and data.limit > left:
        raise ConfigError(
            f"data.limit: cannot train on {data.limit} images, because {name} has {left} training "
            f"images that are not held out. Give a number up to {left}, or null for all."
        )
    limit = left if data.limit is None else data.limit
    if not data.stratify:
        return np.sort(order[data.validation :][:limit]), np.sort(order[: data.validation])
    held_out = shares(classes, data.validation, np.maximum(classes - 1, 0))
    trained = shares(classes - held_out, limit, classes - held_out)
    by_class = order[np.argsort(labels[order], kind="stable")]
    train, validation = [], []
    for rows, first, more in zip(
        np.split(by_class, np.cumsum(classes)[:-1]), held_out, trained, strict=True
    ):
        validation.append(rows[:first])
        train.append(rows[first : first + more])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(validation))


def shares(counts: NDArray[np.int64], total: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many images to take of each class, `total` in all, by largest remainders.

    Each class gets the whole part of its share, total · count / sum of counts. The classes with the
    largest remainders get one more. The first of equal ones comes first.

    Parameters
    ----------
    counts
        (c,) the images of each class.
    total
        How many to take, at most the sum of `most`.
    most
        (c,) the most that may be taken of each class.
    """
    n = max(1, int(counts.sum()))
    taken = np.minimum(total * counts // n, most)
    for _ in range(total - int(taken.sum())):
        behind = total * counts - taken * n
        taken[np.where(taken < most, behind, np.iinfo(np.int64).min).argmax()] += 1
    return taken
