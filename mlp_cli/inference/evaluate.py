"""Scores of a trained network on a split of its data, or of several networks as a committee."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlp_cli.config.load import load_config
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset, Split, load_dataset
from mlp_cli.data.identity import (
    known_data,
    other_data,
    refusal,
    same_training_data,
    unknown_data,
)
from mlp_cli.errors import ConfigError, DataError
from mlp_cli.inference.averaging import Averaging, check_distorted
from mlp_cli.inference.committee import check_committee, log_probabilities
from mlp_cli.inference.evaluation import Evaluation, Member
from mlp_cli.inference.model import Model, load
from mlp_cli.inference.other_data import ImagesToScore, load_other, warn_of_another_test_set


def evaluate_checkpoints(
    paths: Sequence[Path],
    split: str,
    data_dir: Path,
    data_path: Path | None = None,
    warn: Callable[[str], object] = warnings.warn,
    averaging: Averaging | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Score trained networks on a split ("test", "validation" or "train") of the first one's data.

    Parameters
    ----------
    paths, split
        The checkpoints or folders of runs, and the name of the split.
    data_dir
        Where MNIST lies, in a folder `mnist`.
    data_path
        Where the data are now, in place of those that the network was trained on. To score the
        "test" split, they may be any images of its size, also without labels (see `load_other`).
    warn
        Is told if the test set is not the one that was there when the network was trained, if
        nobody can know whether moved data are the same, and if networks were trained on different
        data.
    averaging
        How to average each answer over distortions of its image. None takes the image as it is.
    progress
        With `averaging`, is told how many distortions are classified, of how many.

    Raises
    ------
    ConfigError
        If a network was trained without distortions, and there is `averaging`.
    DataError
        If the training or validation images are not those that the network was trained on.
    MlpError
        If a checkpoint or the data are missing, damaged or do not fit; the subclass says which.
    """
    models = [load(path) for path in paths]
    if averaging is not None:
        check_distorted(models)
    if split != "test":
        _check_same_split(models, split)
    if split == "test" and data_path is not None:
        chosen = load_other(models, data_path, warn)
    else:
        dataset = load_data(models, split, data_dir, data_path, warn)
        splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
        images = splits[split]
        assert images is not None  # the test set was asked for
        chosen = ImagesToScore(dataset.name, images)
    if not all(same_training_data(model.data, models[0].data) for model in models):
        trained_on = list(dict.fromkeys(model.data.name for model in models))
        which = ", ".join(trained_on)
        if len(trained_on) == 1:
            which += " was changed in between"
        warn(
            f"These networks were trained on different data: {which}.\n"
            f"All are scored on {chosen.dataset}, the data of the first."
        )
    names = chosen.dataset, split
    return evaluate(
        models,
        chosen.split,
        names,
        labelled=chosen.labelled,
        averaging=averaging,
        progress=progress,
    )


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
        warn_of_another_test_set(model, dataset.name, dataset.test_digests, warn)
    return dataset


def evaluate(
    models: Sequence[Model],
    split: Split,
    names: tuple[str, str],
    *,
    labelled: bool = True,
    averaging: Averaging | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluation:
    """Score one model by its own loss, or several models as one committee.

    The log-probabilities of a committee are the mean of those of its members, normalised so that
    the probabilities sum to 1. Its loss is the cross-entropy. The same holds with `averaging`, also
    for one model; `progress` is that of `log_probabilities`. `names` are the data set and the
    split. If the images are not `labelled`, their labels are not looked at.

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
    if split.images.shape[1] != first.pixels or labels.max() >= first.classes:
        raise DataError(
            f"the data are images of {split.images.shape[1]} pixels with labels up to "
            f"{labels.max()}, but {first.path} takes {first.pixels} pixels and labels "
            f"up to {first.classes - 1}. Give the data that it was trained on."
        )
    if len(models) == 1 and averaging is None:
        z = first.logits(split)
        log_p = first.network.loss.log_probabilities(z)
        predictions = z.argmax(axis=1)
        losses = first.network.loss.values(z, np.eye(first.classes, dtype=z.dtype)[labels])
    else:
        log_p = log_probabilities(models, split, averaging, progress)
        predictions = log_p.argmax(axis=1)
        losses = -log_p[np.arange(len(labels)), labels]
    return Evaluation(
        *names,
        split,
        first.data,
        labels if labelled else None,
        predictions,
        np.exp(log_p[np.arange(len(labels)), predictions]),
        float(losses.mean(dtype=np.float64)) if labelled else None,
        tuple(Member(str(model.path), model.epoch, model.data.name) for model in models),
        averaging,
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


def _held_out(config: Config) -> tuple[int, int, bool, bool]:
    data = config.data
    return config.seed, data.validation, data.stratify, data.consecutive
