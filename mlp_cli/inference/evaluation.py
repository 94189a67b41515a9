"""What trained networks say to images, and how right that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.data.dataset import Split
from mlp_cli.errors import DataError, visible
from mlp_cli.inference.averaging import Averaging
from mlp_cli.nn.buffers import Array, Pixels
from mlp_cli.storage.header import DataRecord
from mlp_cli.training.metrics import Scores


class Member(NamedTuple):
    """A scored network: its file, its number of finished epochs if known, and its training data."""

    checkpoint: str
    epoch: int | None
    dataset: str


@dataclass(frozen=True)
class Evaluation:
    """What a model or committee says to images, in order, and its scores if they have labels.

    Attributes
    ----------
    dataset, split
        The names of the data and of the split.
    source
        The images.
    trained_on
        The record of the data of the first network: the shape of the images, and the classes.
    labels
        The class (n,) of each image, None if the images have no labels.
    predictions, probabilities
        The predicted class (n,) of each image, and its probability (n,).
    loss
        The mean loss, None without labels.
    members
        The scored networks.
    averaging
        How each answer is averaged over distortions of its image, None if it is not.
    """

    dataset: str
    split: str
    source: Split
    trained_on: DataRecord
    labels: Pixels | None
    predictions: NDArray[np.int64]
    probabilities: Array
    loss: float | None
    members: tuple[Member, ...]
    averaging: Averaging | None = None

    def __repr__(self) -> str:
        """Return the scores in one line."""
        n = len(self.predictions)
        errors = "no labels" if self.labels is None else f"{self.errors} errors"
        scored = f"{errors} in {n} images, {self.dataset} {self.split}"
        if self.averaging is not None:
            scored += f", {self.averaging}"
        return f"<Evaluation of {visible(self.checkpoint)}: {visible(scored)}>"

    @property
    def checkpoint(self) -> str:
        """The names of the checkpoints."""
        return ", ".join(member.checkpoint for member in self.members)

    @property
    def image_shape(self) -> tuple[int, int]:
        """The height and width of the images."""
        height, width = self.trained_on.image_shape
        return height, width

    @property
    def names(self) -> Sequence[str]:
        """The name of each class, empty if the classes are just numbered."""
        return self.trained_on.names

    @property
    def true_labels(self) -> Pixels:
        """The class (n,) of each image.

        Raises
        ------
        DataError
            If the images have no labels.
        """
        if self.labels is None:
            raise DataError(f"{self.dataset}: the images have no labels, so there are no scores.")
        return self.labels

    @cached_property
    def scores(self) -> Scores:
        """The scores.

        Raises
        ------
        DataError
            If the images have no labels.
        """
        confusion = np.zeros((self.trained_on.classes,) * 2, np.int64)
        np.add.at(confusion, (self.true_labels, self.predictions), 1)
        assert self.loss is not None  # there are labels
        return Scores(self.loss, confusion)

    @property
    def accuracy(self) -> float:
        """The share of images with the right class."""
        return self.scores.accuracy

    @property
    def errors(self) -> int:
        """The number of images with a wrong class."""
        return self.scores.errors

    @property
    def confusion(self) -> NDArray[np.int64]:
        """`confusion[i][j]` images of class i were classified as j."""
        return self.scores.confusion

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The number of images that were given to each class."""
        return np.bincount(self.predictions, minlength=self.trained_on.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain data, ready for JSON; None for each without labels."""
        about: dict[str, Any] = {
            "dataset": self.dataset,
            "split": self.split,
            "checkpoint": self.checkpoint,
            "members": [member._asdict() for member in self.members],
            "n": len(self.predictions),
        }
        if self.averaging is not None:
            about["averaging"] = asdict(self.averaging)
        if self.labels is None:
            missing = dict.fromkeys(
                ("errors", "accuracy", "error_ci95", "loss", "per_class", "confusion")
            )
            return about | missing | {"predicted": self.predicted.tolist()}
        scores = self.scores
        per_class = scores.per_class()
        for row, name in zip(per_class, self.names, strict=False):
            row["name"] = name
        return about | {
            "errors": scores.errors,
            "accuracy": scores.accuracy,
            "error_ci95": list(scores.error_ci95),
            "loss": scores.loss,
            "per_class": per_class,
            "confusion": scores.confusion.tolist(),
        }
