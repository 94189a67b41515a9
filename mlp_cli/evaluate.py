"""Trained networks as something to ask: one, or several as a committee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.checkpoint import Checkpoint, load_checkpoint
from mlp_cli.config import Config, from_dict
from mlp_cli.data import Split, load_dataset, whole
from mlp_cli.errors import CheckpointError, ConfigError, DataError
from mlp_cli.functions import Array
from mlp_cli.metrics import Scores
from mlp_cli.network import Network
from mlp_cli.operations import Pixels
from mlp_cli.scoring import logits


class Model:
    """A trained network, its inputs' scaling, and the configuration it was trained by.

    Attributes
    ----------
    network, mean, std
        The network sees (pixel / 255 − mean) / std.
    config, dataset, image_shape, classes
        What it was trained by and on.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build the network that a checkpoint describes.

        Raises
        ------
        CheckpointError
            If header and arrays do not fit together.
        """
        self.path = checkpoint.path
        try:
            self.config: Config = from_dict(checkpoint.header["config"], str(checkpoint.path))
            data = checkpoint.header["data"]
            self.dataset = str(data["name"])
            self.image_shape = (int(data["image_shape"][0]), int(data["image_shape"][1]))
            self.classes = int(data["classes"])
        except (ConfigError, LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{checkpoint.path}: its header does not describe a network: {error}. "
                "Use the release that wrote it, or another checkpoint."
            ) from error
        inputs = self.image_shape[0] * self.image_shape[1]
        config = self.config
        self.network = network = Network(
            (inputs, *config.model.hidden, self.classes),
            config.model.activation,
            config.loss,
            config.training.dtype,
            batch_norm=config.model.batch_norm,
        )
        restore_parameters(network, checkpoint)
        if network.batch_norm:
            self.network = network.without_norm()
            network.fold(network.parameters, network.statistics, self.network)
        self.mean, self.std = (_scaling(checkpoint, f"input.{name}") for name in ("mean", "std"))

    def predict_proba(self, images: Pixels) -> Array:
        """Return the classes' probabilities (n, classes).

        Parameters
        ----------
        images
            `uint8`, (n, height, width) or (n, inputs), 0 to 255, as MNIST has them: bright ink on
            black.

        Raises
        ------
        DataError
            If they are of another type or shape.
        """
        z = self.logits(self._split(images))
        return np.exp(self.network.loss.log_probabilities(z))

    def predict(self, images: Pixels) -> NDArray[np.int64]:
        """Return the likeliest class of each image, (n,); `images` as for `predict_proba`."""
        classes: NDArray[np.int64] = self.logits(self._split(images)).argmax(axis=1)
        return classes

    def logits(self, split: Split) -> Array:
        """Return the last layer's weighted inputs z (n, classes), in the split's order."""
        parts = [z.copy() for z, _, _ in logits(self.network, split, self.mean, self.std)]
        return np.concatenate([np.empty((0, self.classes), self.network.dtype), *parts])

    def _split(self, images: Pixels) -> Split:
        images = np.asarray(images)
        inputs = self.network.sizes[0]
        if images.dtype != np.uint8 or images.shape[1:] not in (self.image_shape, (inputs,)):
            height, width = self.image_shape
            raise DataError(
                f"images of type {images.dtype} and shape {images.shape}, where {self.path} takes "
                f"uint8 of shape (n, {height}, {width}) or (n, {inputs})."
            )
        return whole(images, np.zeros(len(images), np.uint8))


def restore_parameters(network: Network, checkpoint: Checkpoint) -> None:
    """Copy a checkpoint's parameters and statistics into a network.

    Raises
    ------
    CheckpointError
        If one is missing, of another shape, or not finite.
    """
    for name, array in network.named(network.parameters, network.statistics).items():
        array[...] = checkpoint.array(name, array.shape)


def _scaling(checkpoint: Checkpoint, name: str) -> Array:
    found = checkpoint.arrays.get(name)
    shape = found.shape if found is not None and found.ndim == 1 else ()
    return checkpoint.array(name, shape)


def load(run_or_checkpoint: str | Path) -> Model:
    """Load a trained network: a checkpoint, or a run's folder, which means its `best.npz`.

    Raises
    ------
    ConfigError
        If there is none.
    CheckpointError
        If it is damaged.
    """
    path = Path(run_or_checkpoint)
    if path.is_dir():
        if not (path / "best.npz").is_file():
            raise ConfigError(
                f"{path}: the folder holds no best.npz. Give a run that has finished an epoch."
            )
        path = path / "best.npz"
    return Model(load_checkpoint(path))


@dataclass(frozen=True)
class Evaluation:
    """What a model or committee made of a split: its scores, and each image's class, in order."""

    dataset: str
    split: str
    checkpoint: str
    scores: Scores
    labels: Pixels
    predictions: NDArray[np.int64]
    probabilities: Array  # (n,), of the predicted class

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        scores = self.scores
        return {
            "dataset": self.dataset,
            "split": self.split,
            "checkpoint": self.checkpoint,
            "n": scores.n,
            "errors": scores.errors,
            "accuracy": scores.accuracy,
            "error_ci95": list(scores.error_ci95),
            "loss": scores.loss,
            "per_class": scores.per_class(),
            "confusion": scores.confusion.tolist(),
        }


def evaluate_checkpoints(paths: Sequence[Path], split: str, data_dir: Path) -> Evaluation:
    """Score trained networks on a split ("test", "validation" or "train") of the first one's data.

    Raises
    ------
    MlpError
        As its subclasses say, if a checkpoint or the data are missing, damaged or do not fit.
    """
    models = [load(path) for path in paths]
    if split != "test":
        _check_same_split(models, split)
    first = models[0].config
    data = first.data.model_copy(update={"test": split == "test"})
    dataset = load_dataset(first.model_copy(update={"data": data}), data_dir)
    chosen = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}[split]
    assert chosen is not None  # the test set was asked for
    names = ", ".join(str(model.path) for model in models)
    return evaluate(models, chosen, (dataset.name, split, names))


def evaluate(models: Sequence[Model], split: Split, names: tuple[str, str, str]) -> Evaluation:
    """Score one model by its own loss, or several as one committee; `names` go into the result.

    A committee's log-probabilities are the mean of its members', made to sum to 1 again; its loss
    is the cross-entropy.

    Raises
    ------
    CheckpointError
        If the members differ in inputs or classes.
    DataError
        If the images do not fit.
    """
    first = models[0]
    for model in models:
        if (model.image_shape, model.classes) != (first.image_shape, first.classes):
            raise CheckpointError(
                f"{model.path} takes images of {model.image_shape} in {model.classes} classes, "
                f"{first.path} of {first.image_shape} in {first.classes}: no committee."
            )
    labels = split.labels[split.rows]
    if split.images.shape[1] != first.network.sizes[0] or labels.max() >= first.classes:
        raise DataError(
            f"the data are images of {split.images.shape[1]} pixels with labels up to "
            f"{labels.max()}, where {first.path} takes {first.network.sizes[0]} pixels and labels "
            f"up to {first.classes - 1}. Give the data that it was trained on."
        )
    if len(models) == 1:
        z = first.logits(split)
        log_probabilities = first.network.loss.log_probabilities(z)
        predictions = z.argmax(axis=1)
        losses = first.network.loss.values(z, np.eye(first.classes, dtype=z.dtype)[labels])
    else:
        votes = [model.network.loss.log_probabilities(model.logits(split)) for model in models]
        log_probabilities = np.mean(votes, axis=0, dtype=np.float64)
        log_probabilities -= np.logaddexp.reduce(log_probabilities, axis=1, keepdims=True)
        predictions = log_probabilities.argmax(axis=1)
        losses = -log_probabilities[np.arange(len(labels)), labels]
    confusion = np.zeros((first.classes, first.classes), np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    return Evaluation(
        *names,
        Scores(float(losses.mean(dtype=np.float64)), confusion),
        labels,
        predictions,
        np.exp(log_probabilities[np.arange(len(labels)), predictions]),
    )


def _check_same_split(models: Sequence[Model], split: str) -> None:
    """Refuse a committee whose members held out different images: some would know the others'."""
    if split == "validation" and not models[0].config.data.validation:
        raise ConfigError(
            f"{models[0].path}: trained with data.validation: 0, so there is no validation split. "
            "Use --split test."
        )
    for model in models:
        held_out = [
            (m.dataset, m.config.seed, m.config.data.validation) for m in (model, models[0])
        ]
        if held_out[0] != held_out[1]:
            raise ConfigError(
                f"{model.path} and {models[0].path} held out different validation images, so one "
                "was trained on what the other would be scored on. Use --split test."
            )
