"""Images to score a network on that are not those it was trained on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlp_cli.config.load import load_config
from mlp_cli.data import mnist
from mlp_cli.data.dataset import Split, whole
from mlp_cli.data.digest import digest
from mlp_cli.data.formats.collection import Collection, Part
from mlp_cli.data.formats.labels import align
from mlp_cli.data.identity import changed_files, differ
from mlp_cli.data.own_images import read_to_score
from mlp_cli.errors import DataError
from mlp_cli.inference.model import Model
from mlp_cli.nn.buffers import Pixels

SHOWN = 3  # pairs of classes in a message


class ImagesToScore(NamedTuple):
    """Images, the name of their data, and whether they have labels."""

    dataset: str
    split: Split
    labelled: bool = True


def load_other(models: Sequence[Model], path: Path, warn: Callable[[str], object]) -> ImagesToScore:
    """Load images in any format to score networks on: the test set, or else the only set.

    Parameters
    ----------
    models
        The networks. The first one's classes are those of the labels.
    path
        The file or folder.
    warn
        Is told if it is not the test set that was there when a network was trained, if there is no
        test set, and if classes cannot be matched by their names.

    Raises
    ------
    DataError
        If the data are missing or damaged, or if their size or a class does not fit the network.
    MlpError
        As `read_to_score`.
    """
    first = models[0]
    moved = {"data.path": path}
    place = load_config(first.config, set=moved, warn=lambda _: None).data.path
    found = read_to_score(Path(str(place)))
    is_test = "test" in found.parts
    part = found.parts["test" if is_test else "train"]
    images = part.images
    if images.shape[1:] != first.image_shape:
        size, (height, width) = "×".join(map(str, images.shape[1:])), first.image_shape
        scaled = f"mlp data import {shlex.quote(str(place))} DIR --size {height}x{width}"
        raise DataError(
            f"{place}: the images have {size} pixels, but {first.path} takes {height}×{width}. "
            f"Bring them to that size by `{scaled}`, and use DIR."
        )
    if is_test:
        _compare_with_test_set(models, str(place), part, warn)
    else:
        text = f"{place}: there is no test set, so its only set of {len(images):,} images is used."
        if first.data.digests.get(mnist.TRAIN_IMAGES.name) == digest(images, images.shape):
            text += f" {first.path} was trained on these images."
        warn(text)
    labelled = part.labels is not None
    labels = np.zeros(len(images), np.uint8)  # nobody looks at them
    if part.labels is not None:
        labels = _matched(part.labels, found, first, warn)
    return ImagesToScore(str(place), whole(images, labels), labelled)


def _compare_with_test_set(
    models: Sequence[Model], place: str, part: Part, warn: Callable[[str], object]
) -> None:
    """Warn if a test set with labels is not the one that was there when a network was trained."""
    if part.labels is None:
        return
    digests = {
        mnist.TEST_IMAGES.name: digest(part.images, part.images.shape),
        mnist.TEST_LABELS.name: digest(part.labels, part.labels.shape),
    }
    for model in models:
        warn_of_another_test_set(model, place, digests, warn)


def warn_of_another_test_set(
    model: Model, place: str, digests: Mapping[str, str], warn: Callable[[str], object]
) -> None:
    """Warn if the digests of a test set are not of the one that a network was trained beside."""
    if changed := changed_files(model.data, digests):
        warn(
            f"{place}: the test set is not the one that was there when {model.path} "
            f"was trained: {differ(changed)}. The scores are of the new one."
        )


def _matched(
    labels: Pixels, found: Collection, model: Model, warn: Callable[[str], object]
) -> Pixels:
    """Return labels as the network's classes: matched by name, or else by number.

    A class that has no name has its number as its name.
    """
    numbers = tuple(map(str, range(model.classes)))
    known = model.names or numbers
    of_numbers, of_names = (all(map(str.isdecimal, names)) for names in (found.names, known))
    if of_numbers == of_names:
        return align(labels, found.names, known, str(found.source))
    if of_numbers:
        labels = align(labels, found.names, numbers, str(found.source))
        pairs = [(name, known[int(name)]) for name in found.names if name in numbers]
    else:
        pairs = list(zip(found.names, known, strict=False))
    shown = ", ".join(f"{name} for {of}" for name, of in pairs[:SHOWN])
    warn(
        f"{found.source} and {model.path} name the classes differently, so they are matched by "
        f"their numbers: {shown}{', …' if len(pairs) > SHOWN else ''}."
    )
    return labels
