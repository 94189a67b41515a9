"""The sets of images of one source, put together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlp_cli.data.formats.collection import Collection, Part
from mlp_cli.data.formats.labels import classes_of
from mlp_cli.errors import DataError
from mlp_cli.nn.buffers import Pixels

Sets = Mapping[str, tuple[Pixels, NDArray[Any] | None]]


def as_collection(source: Path, kind: str, sets: Sets, remarks: tuple[str, ...] = ()) -> Collection:
    """Return the images (n, height, width) and labels of the sets of a source as a collection.

    Parameters
    ----------
    source
        The file or folder.
    kind
        Its format.
    sets
        The images and labels, None if there are none, of "train" and "test" or one of them.
    remarks
        What was done to the images.

    Raises
    ------
    DataError
        If images and labels are not equally many, if the sets have images of different sizes, or
        as `classes_of`.
    """
    parts, labels = [part for part in ("train", "test") if part in sets], {}
    height, width = sets[parts[0]][0].shape[1:]
    for part in parts:
        images, numbers = sets[part]
        if images.shape[1:] != (height, width):
            raise DataError(
                f"{source}: the {part} images have {images.shape[1]}×{images.shape[2]} pixels, but "
                f"the {parts[0]} images have {height}×{width}. Make them the same size."
            )
        if numbers is not None:
            if len(numbers) != len(images):
                raise DataError(
                    f"{source}: the {part} set has {len(images):,} images, but {len(numbers):,} "
                    "labels. Each image needs one label."
                )
            labels[part] = numbers
    codes, names = classes_of(str(source), *labels.values()) if labels else ([], ())
    coded = dict(zip(labels, codes, strict=True))
    return Collection(
        source, kind, {part: Part(sets[part][0], coded.get(part)) for part in parts}, names, remarks
    )
