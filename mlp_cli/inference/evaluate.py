"""Scores of a trained network on a split of its data, or of several networks as a committee."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlp_cli.config.load import load_config
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset, Split, load_dataset
from mlp_cli.data.identity import (
    changed_files,
    differ,
    known_data,
    other_data,
    refusal,
    same_training_data,
    unknown_data,
)
from mlp_cli.errors import ConfigError, DataError, visible
from mlp_cli.inference.committee import check_committee, log_probabilities
from mlp_cli.inference.model import Model, load
from mlp_cli.nn.buffers import Array, Pixels
from mlp_cli.training.metrics import Scores


class Member(NamedTuple):
    """A scored network: its file, its number of finished epochs if known, and its training data."""

    checkpoint: str
    epoch: int | None
    dataset: str


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model or committee on a split, and the class of each image, in order.

    `source` holds the images, each of `image_shape`, and `split` is the name of the split.
    `members` are the scored networks.
    """

    dataset: str
    split: str
    checkpoint: str
    source: Split
    image_shape: tuple[int, int]
    scores: Scores
    labels: Pixels
    predictions: NDArray[np.int64]
    probabilities: Array  # (n,), of the predicted class
    members: tuple[Member, ...]

    def __repr__(self) -> str:
        """Return the scores in one line."""
        scored = f"{self.errors} errors in {self.scores.n} images, {self.dataset} {self.split}"
        return f"<Evaluation of {visible(self.checkpoint)}: {visible(scored)}>"

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

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain data, ready for JSON."""
        scores = self.scores
        return {
            "dataset": self.dataset,
            "split": self.split,
            "checkpoint": self.checkpoint,
            "members": [member._asdict() for member in self.members],
            "n": scores.n,
            "errors": scores.errors,
            "accuracy": scores.accuracy,
            "error_ci95": list(scores.error_ci95),
            "loss": scores.loss,
            "per_class": scores.per_class(),
            "confusion": scores.confusion.tolist(),
        }


def evaluate_checkpoints(
    paths: Sequence[Path],
    split: str,
    data_dir: Path,
    data_path: Path | None = None,
    warn: Callable[[str], object] = warnings.warn,
) -> Evaluation:
    """Score trained networks on a split ("test", "validation" or "train") of the first one's data.

    Parameters
    ----------
    paths, split
        The checkpoints or folders of runs, and the name of the split.
    data_dir
        Where MNIST lies, in a folder `mnist`.
    data_path
        Where the data are now, in place of the `data.path` that the network was trained with.
    warn
        Is told if the test set is not the one that was there when the network was trained, if
        nobody can know whether moved data are the same, and if networks were trained on different
        data.

    Raises
    ------
    DataError
        If the training or validation images are not those that the network was trained on.
    MlpError
        If a checkpoint or the data are missing, damaged or do not fit; the subclass says which.
    """
    models = [load(path) for path in paths]
    if split != "test":
        _check_same_split(models, split)
    dataset = load_data(models, split, data_dir, data_path, warn)
    if not all(same_training_data(model.data, models[0].data) for model in models):
        trained_on = list(dict.fromkeys(model.data.name for model in models))
        which = ", ".join(trained_on)
        if len(trained_on) == 1:
            which += " was changed in between"
        warn(
            f"These networks were trained on different data: {which}.\n"
            f"All are scored on {dataset.name}, the data of the first."
        )
    chosen = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}[split]
    assert chosen is not None  # the test set was asked for
    names = ", ".join(str(model.path) for model in models)
    return evaluate(models, chosen, (dataset.name, split, names))


def load_data(
    models: Sequence[Model],
    split: str,
    data_dir: Path,
    data_path: Path | None,
    warn: Callable[[str], object],
) -> Dataset:
    """Load the data of the first model, and check that they are those that it was trained on.

    Another test set is only a warning: to score a network on new images is a fair use. The
    parameters are those of `evaluate_checkpoints`.

    Raises
    ------
    DataError
        If data are missing or damaged, or if the training or validation images are others.
    StorageError
        If a file cannot be read.
    """
    first = models[0]
    config = first.config
    if data_path is not None:
        moved = {"data.path": data_path}
        config = load_config(config, set=moved, warn=lambda _: None)  # its training was warned
    # The test set needs no images to be held out, and may come with fewer training images.
    changes: dict[str, Any] = {"test": False}
    if split == "test":
        changes = {"test": True, "validation": 0, "limit": None}
    data = config.data.model_copy(update=changes)
    with known_data(data.path, first.path, first.data.name):
        dataset = load_dataset(config.model_copy(update={"data": data}), data_dir)
    if split != "test":
        if why := other_data(first.data, dataset, dataset.train_digests):
            raise refusal(dataset.name, first.path, first.data.name, why)
        if dataset.name != first.data.name and not first.data.digests:
            warn(unknown_data(dataset.name, first.path))
        return dataset
    for model in models:
        if changed := changed_files(model.data, dataset.test_digests):
            warn(
                f"{dataset.name}: the test set is not the one that was there when {model.path} "
                f"was trained: {differ(changed)}. The scores are of the new one."
            )
    return dataset


def evaluate(models: Sequence[Model], split: Split, names: tuple[str, str, str]) -> Evaluation:
    """Score one model by its own loss, or several models as one committee.

    The log-probabilities of a committee are the mean of those of its members, normalised so that
    the probabilities sum to 1. Its loss is the cross-entropy. `names` are the data set, the split
    and the checkpoints.

    Raises
    ------
    CheckpointError
        If the members differ in inputs or classes.
    DataError
        If the images do not fit.
    """
    first = models[0]
    check_committee(models)
    labels = split.labels[split.rows]
    if split.images.shape[1] != first.network.sizes[0] or labels.max() >= first.classes:
        raise DataError(
            f"the data are images of {split.images.shape[1]} pixels with labels up to "
            f"{labels.max()}, but {first.path} takes {first.network.sizes[0]} pixels and labels "
            f"up to {first.classes - 1}. Give the data that it was trained on."
        )
    if len(models) == 1:
        z = first.logits(split)
        log_p = first.network.loss.log_probabilities(z)
        predictions = z.argmax(axis=1)
        losses = first.network.loss.values(z, np.eye(first.classes, dtype=z.dtype)[labels])
    else:
        log_p = log_probabilities(models, split)
        predictions = log_p.argmax(axis=1)
        losses = -log_p[np.arange(len(labels)), labels]
    confusion = np.zeros((first.classes, first.classes), np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    return Evaluation(
        *names,
        split,
        first.image_shape,
        Scores(float(losses.mean(dtype=np.float64)), confusion),
        labels,
        predictions,
        np.exp(log_p[np.arange(len(labels)), predictions]),
        tuple(Member(str(model.path), model.epoch, model.data.name) for model in models),
    )


def _check_same_split(models: Sequence[Model], split: str) -> None:
    """Refuse a committee whose members did not train on the same images, or held out others."""
    first = models[0]
    if split == "validation" and not first.config.data.validation:
        raise ConfigError(
            f"{first.path}: trained with data.validation: 0, so there is no validation split. "
            "Use --split test."
        )
    for model in models:
        if not hold_out_the_same(model, first):
            raise ConfigError(
                f"{model.path} and {first.path} held out different validation images, so one "
                "was trained on what the other would be scored on. Use --split test."
            )
        if split == "train" and model.config.data.limit != first.config.data.limit:
            raise ConfigError(
                f"{model.path} and {first.path} were trained on different images, because their "
                "data.limit differs. Use --split validation or test."
            )


def hold_out_the_same(a: Model, b: Model) -> bool:
    """Whether two networks held out the same images of the same data for validation, or none."""
    return same_training_data(a.data, b.data) and _held_out(a.config) == _held_out(b.config)


def _held_out(config: Config) -> tuple[int, int, bool]:
    return config.seed, config.data.validation, config.data.stratify
