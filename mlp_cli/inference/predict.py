"""Classes of pictures, by a trained network or by several as one committee."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlp_cli.data.dataset import whole
from mlp_cli.data.pictures.digit import SIDE
from mlp_cli.data.pictures.prepare import prepare_digit, prepare_digits
from mlp_cli.data.pictures.reading import Grey, Picture
from mlp_cli.data.pictures.windows import scaled
from mlp_cli.errors import ConfigError, DataError
from mlp_cli.inference.committee import check_committee, log_probabilities
from mlp_cli.inference.model import Model, told_runs
from mlp_cli.nn.buffers import Array, Pixels
from mlp_cli.storage.files import exists
from mlp_cli.storage.paths import STREAM

DIGITS = ("mnist", "synthetic")  # data whose images are digits, placed as in MNIST
RUN = ("best.npz", "last.npz", "config.yaml")  # a folder with one of these is a run's
UNSURE = 0.7  # below this probability, an answer is unsure
TOGETHER = 32  # images that are classified at once


def networks_and_pictures(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return which paths are networks, and which are pictures.

    Raises
    ------
    ConfigError
        If there is none of either.
    StorageError
        If a folder cannot be searched.
    """
    networks: list[Path] = []
    pictures: list[Path] = []
    for path in paths:
        is_network = path.suffix == ".npz" or any(exists(path / name) for name in RUN)
        (networks if is_network else pictures).append(path)
    if not networks:
        first = pictures[0]
        is_there = first == STREAM or exists(first)
        fault = "it is not a network" if is_there else "there is no such file or folder"
        raise ConfigError(
            told_runs(first)
            or f"{first}: {fault}. Give the folder of a run or a checkpoint (.npz), and then "
            "pictures."
        )
    if not pictures:
        raise ConfigError("no picture is named. Give a file, a folder, or - for a stream.")
    return networks, pictures


class Seen(NamedTuple):
    """An image (height, width) for the network, and where in which picture it comes from.

    `image` is None if the picture is blank. `line` and `position` count from 1; they are None
    without --grid. `box` is top, left, bottom and right of the digit in the picture, None if the
    picture is taken as a whole. `digits` is the number of digits in the picture.
    """

    picture: str
    image: Pixels | None
    line: int | None = None
    position: int | None = None
    box: tuple[int, int, int, int] | None = None
    digits: int = 1


@dataclass(frozen=True)
class Answer:
    """What the network says to an image: the probability of each class, None of a blank one.

    `names` are the classes' names, empty if they are just numbered.
    """

    seen: Seen
    probabilities: tuple[float, ...] | None
    names: tuple[str, ...] = ()

    @property
    def ranking(self) -> list[int]:
        """The classes, the most likely first."""
        values = self.probabilities or ()
        return sorted(range(len(values)), key=lambda label: -values[label])

    @property
    def prediction(self) -> int | None:
        """The most likely class, None of a blank picture."""
        return self.ranking[0] if self.probabilities else None

    @property
    def name(self) -> str | None:
        """The name of the most likely class, None of a blank picture or without names."""
        return None if self.prediction is None or not self.names else self.names[self.prediction]

    @property
    def probability(self) -> float | None:
        """The probability of the most likely class."""
        return max(self.probabilities) if self.probabilities else None

    @property
    def notes(self) -> list[str]:
        """What to know about the answer: of "blank", "unsure" and "several", those that hold."""
        if self.probability is None:
            return ["blank"]
        unsure, several = self.probability < UNSURE, self.seen.digits > 1
        return ["unsure"] * unsure + ["several"] * several

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data, ready for JSON."""
        seen = self.seen
        return {
            "picture": seen.picture,
            "line": seen.line,
            "position": seen.position,
            "box": None if seen.box is None else list(seen.box),
            "prediction": self.prediction,
            **({"name": self.name} if self.names else {}),
            "probability": self.probability,
            "probabilities": None if self.probabilities is None else list(self.probabilities),
            "digits": seen.digits,
            "notes": self.notes,
        }


class Predictor:
    """Trained networks that classify pictures: one, or several as one committee.

    Attributes
    ----------
    models
        The networks.
    preparation
        How a picture becomes an image for them: "mnist", as MNIST's images were made; "scaled" to
        their size alone; or "raw", for pictures that are such images already.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        raw: bool = False,
        prepare: bool = False,
        grid: bool = False,
    ) -> None:
        """Check that the networks fit each other and the options.

        Raises
        ------
        CheckpointError
            If they differ in inputs or classes.
        ConfigError
            If `grid` is asked of networks whose images are no digits, or `prepare` of networks
            whose images have another size than MNIST's.
        """
        check_committee(models)
        self.models = models
        others = [model.data.name for model in models if model.data.name not in DIGITS]
        height, width = models[0].image_shape
        if prepare and (height, width) != (SIDE, SIDE):
            raise ConfigError(
                f"--prepare makes images of {SIDE} × {SIDE} pixels, but the network was trained on "
                f"{width} × {height}. Leave it out."
            )
        if grid and others and not prepare:
            raise ConfigError(
                f"--grid reads digits, but a network was trained on {others[0]}. Give a picture "
                "for each image, without --grid, or add --prepare."
            )
        self.preparation = "raw" if raw else "scaled" if others and not prepare else "mnist"
        self._grid = grid

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, empty if they are just numbered."""
        return self.models[0].names

    @property
    def remark(self) -> str:
        """What to know about the preparation, "" if it is MNIST's."""
        if self.preparation != "scaled":
            return ""
        height, width = self.models[0].image_shape
        return (
            f"The network was trained on {self.models[0].data.name}, not on MNIST. So pictures are "
            f"only scaled to {width} × {height}, and not cropped, centred or inverted. "
            "If its images were imported with --prepare, give --prepare."
        )

    def answers(
        self, pictures: Iterable[Picture], fail: Callable[[DataError], object]
    ) -> Iterator[Answer]:
        """Yield an answer for each picture or, in a grid, for each digit, in their order.

        `fail` is told of raw pictures that have not the networks' size.
        """
        images = self._images(pictures, fail)
        while together := list(islice(images, TOGETHER)):
            found = iter(self._probabilities([seen.image for seen in together]))
            for seen in together:
                likely = None if seen.image is None else tuple(next(found).tolist())
                yield Answer(seen, likely, self.names)

    def _images(
        self, pictures: Iterable[Picture], fail: Callable[[DataError], object]
    ) -> Iterator[Seen]:
        for picture in pictures:
            try:
                yield from self._seen(picture)
            except DataError as error:
                fail(error)

    def _seen(self, picture: Picture) -> Iterator[Seen]:
        """Yield the images of a picture: one, or those of its digits."""
        name, values = picture
        if self.preparation != "mnist":
            yield Seen(name, self._whole(name, values))
        elif not self._grid:
            digit, digits = prepare_digit(values)
            yield Seen(name, digit and digit.image, box=digit and digit.box, digits=digits)
        elif lines := prepare_digits(values):
            for number, line in enumerate(lines, start=1):
                for position, (image, box) in enumerate(line, start=1):
                    yield Seen(name, image, number, position, box)
        else:
            yield Seen(name, None, digits=0)

    def _whole(self, name: str, values: Grey) -> Pixels:
        """Return a picture in the networks' size: as it is if it is raw, else scaled."""
        height, width = self.models[0].image_shape
        if self.preparation == "scaled":
            values = scaled(values, height, width)
        elif values.shape != (height, width):
            raise DataError(
                f"{name}: {values.shape[1]} × {values.shape[0]} pixels, but with --raw a picture "
                f"has the network's {width} × {height}. Leave --raw out."
            )
        whole_numbers: Pixels = np.floor(values + np.float32(0.5)).astype(np.uint8)
        return whole_numbers

    def _probabilities(self, images: Sequence[Pixels | None]) -> Array:
        """Return the probabilities (n, classes) for the images that are not blank."""
        there = np.array([image for image in images if image is not None], np.uint8)
        if not len(there):
            return np.empty((0, self.models[0].classes))
        split = whole(there, np.zeros(len(there), np.uint8))
        return np.exp(log_probabilities(self.models, split))
