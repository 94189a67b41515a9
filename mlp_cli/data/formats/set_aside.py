"""Set a share of the images aside as a test set, if a source has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlp_cli.data.formats.collection import Collection, Part
from mlp_cli.errors import ConfigError, DataError, visible
from mlp_cli.nn.rng import generator


def with_test_set(collection: Collection, share: float) -> Collection:
    """Return the collection with a share of each class as the test set.

    Raises
    ------
    ConfigError
        If it has a test set.
    DataError
        If a class would have no training images, or if there would be no test images.
    """
    source = visible(str(collection.source))
    if "test" in collection.parts:
        raise ConfigError(f"{source} has a test set. Leave out --test-share.")
    part = collection.parts["train"]
    labels = np.zeros(len(part.images), np.uint8) if part.labels is None else part.labels
    random, held_out = generator(0, "test share"), np.zeros(len(labels), bool)
    for code in np.unique(labels):
        rows = np.flatnonzero(labels == code)
        n = round(share * len(rows))
        if n == len(rows):
            name = f" of class {visible(collection.names[code])}" if collection.names else ""
            raise DataError(
                f"{source}: no image{name} would be left for training. Give a smaller --test-share."
            )
        held_out[random.permutation(rows)[:n]] = True
    if not held_out.any():
        raise DataError(f"{source}: the test set would be empty. Give a larger --test-share.")
    parts = {
        name: Part(part.images[rows], None if part.labels is None else part.labels[rows])
        for name, rows in (("train", ~held_out), ("test", held_out))
    }
    return replace(collection, parts=parts)
