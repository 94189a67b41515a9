"""What a source of images holds, and what the user says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlp_cli.errors import DataError
from mlp_cli.nn.buffers import Pixels

# What sets of images are called; those that others held out for validation are not read.
SETS = {"train": "train", "training": "train", "test": "test", "testing": "test", "t10k": "test"}
HELD_OUT = {"val", "valid", "validation"}
NAMES_FILE = "labels.txt"  # the names of the classes, one a line

Progress = Callable[[int, int], object]  # is told how many images are read, and of how many


class NoFileError(DataError):
    """A file of the data is not there, or nothing that is known as data."""


@dataclass(frozen=True)
class Answers:
    """What the user says about a source that leaves it open; None if nothing was said.

    Attributes
    ----------
    label_column
        Where the label stands in a line of CSV.
    transpose
        Whether the images lie on their side, with rows and columns exchanged.
    white
        The value that is white, and 0 is black.
    size
        The height and width that the images have in a table, or that pictures are scaled to.
    prepare
        Whether pictures are digits, to be prepared as MNIST's images were made.
    """

    label_column: Literal["first", "last", "none"] | None = None
    transpose: bool | None = None
    white: float | None = None
    size: tuple[int, int] | None = None
    prepare: bool = False


@dataclass(frozen=True)
class Part:
    """Images (n, height, width) with their labels (n,), None if the source has none."""

    images: Pixels
    labels: Pixels | None


@dataclass(frozen=True)
class Collection:
    """What a source holds.

    Attributes
    ----------
    source
        The file or folder.
    kind
        Its format, as in "a CSV table".
    parts
        The sets of images by name: "train" and "test", or one of them. A source that does not say
        what its only set is for has "train". All images have one size.
    names
        The name of each class, in the order of the labels; empty if there are no labels.
    remarks
        What was done to the images, as in "turned upright".
    """

    source: Path
    kind: str
    parts: dict[str, Part]
    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return what was found, in one line."""
        counts = " and ".join(f"{len(p.images):,} {name}" for name, p in self.parts.items())
        images = next(iter(self.parts.values())).images
        low = min(int(part.images.min()) for part in self.parts.values())
        high = max(int(part.images.max()) for part in self.parts.values())
        facts = [
            f"{counts} images of {images.shape[1]}×{images.shape[2]} pixels",
            _classes(self.names, [p.labels for p in self.parts.values() if p.labels is not None]),
            f"grey values {low} to {high}",
            *self.remarks,
        ]
        return f"{self.source}: {self.kind}, {', '.join(facts)}"


def _classes(names: tuple[str, ...], labels: list[Pixels]) -> str:
    if not labels:
        return "no labels"
    if not names:
        return f"labels 0 to {max(int(each.max()) for each in labels)}"
    if len(names) == 1:
        return f"1 class ({names[0]})"
    return f"{len(names)} classes ({names[0]} to {names[-1]})"
