"""Which training images are held out for validation, and which of the others are trained on.

Both are taken from one order of all images, a function of the seed: first the held-out images, then
those to train on. So `data.limit` does not change the held-out images, and the images of a smaller
limit are among those of a larger one. With `data.stratify`, each class is taken from in this order,
so the second holds class by class.

With `data.consecutive`, the held-out images of each class are taken in the order of the file
instead, from a place that the seed chooses. In MNIST the images of a writer follow one another.
Hardly any writer is then on both sides, as none is in both the training and the test set.
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
        Its `seed`, `data.validation`, `data.stratify`, `data.consecutive` and `data.limit`.
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
    by_class = data.stratify or data.consecutive
    spare = n - (np.count_nonzero(classes) if by_class else 1)
    if data.validation > spare:
        key = "data.stratify" if data.stratify else "data.consecutive"
        why = f" and {key} leaves one of each class" if by_class else ""
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
    first = order
    if data.consecutive:
        first = np.roll(np.arange(n), -int(generator(config.seed, "consecutive").integers(n)))
    validation = first[: data.validation]
    if by_class:
        held_out = shares(classes, data.validation, np.maximum(classes - 1, 0))
        validation = _of_classes(first, labels, held_out)
    is_left = np.ones(n, np.bool_)
    is_left[validation] = False
    train = order[is_left[order]]
    if data.stratify:
        spared = np.bincount(labels[train])
        train = _of_classes(train, labels, shares(spared, limit, spared))
    return np.sort(train[:limit]), np.sort(validation)


def _of_classes(order: Rows, labels: Pixels, counts: NDArray[np.int64]) -> Rows:
    """Return the first rows of each class in an order, as many as `counts` (c,) says."""
    by_class = order[np.argsort(labels[order], kind="stable")]
    ends = np.cumsum(np.bincount(labels[order]))[:-1]
    each = zip(np.split(by_class, ends), counts, strict=True)
    return np.concatenate([rows[:count] for rows, count in each])


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
