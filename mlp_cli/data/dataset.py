"""Data sets: the images and labels for training, validation and testing.

Images stay `uint8`, as in the files. Raw files are mapped into memory, so the processes of a sweep
share one copy, and a run reads only what it uses. A `Split` is images, labels, and the rows that
belong to the split. Nothing is fetched here: `runs.fetching` calls `download` if files are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mlp_cli.config.data_section import DataConfig
from mlp_cli.config.schema import Config
from mlp_cli.data import mnist, synthetic
from mlp_cli.data.digest import digest
from mlp_cli.data.formats.collection import Collection, Part
from mlp_cli.data.holding_out import hold_out
from mlp_cli.data.own_images import read_for_training, read_idx_sets
from mlp_cli.data.replacing import refuse_to_replace
from mlp_cli.errors import DataError
from mlp_cli.nn.buffers import Pixels, Rows
from mlp_cli.storage.header import DataRecord


@dataclass(frozen=True)
class Split:
    """Some rows (n,) of images (N, inputs) and labels (N,)."""

    images: Pixels
    labels: Pixels
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Dataset:
    """The three splits of one data set.

    `name` is "mnist", "synthetic", or the folder of the user's own files. `image_shape` is (height,
    width). Labels are 0 to classes − 1. `test` is None if `data.test` is false. `names` are the
    classes' names, empty if they are just numbered.
    """

    name: str
    image_shape: tuple[int, int]
    classes: int
    train: Split
    validation: Split
    test: Split | None
    names: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """The number of pixels of an image."""
        return self.image_shape[0] * self.image_shape[1]

    @cached_property
    def train_digests(self) -> dict[str, str]:
        """The digests of the training files, by their names; of all images, also the held out."""
        return self._digests(self.train, mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS)

    @cached_property
    def test_digests(self) -> dict[str, str]:
        """The digests of the test files, by their names; empty if they are not read."""
        if self.test is None:
            return {}
        return self._digests(self.test, mnist.TEST_IMAGES, mnist.TEST_LABELS)

    @property
    def record(self) -> DataRecord:
        """What a checkpoint keeps about the data."""
        digests = self.train_digests | self.test_digests
        names = list(self.names)
        return DataRecord(self.name, list(self.image_shape), self.classes, digests, names)

    def _digests(
        self, split: Split, images: mnist.MnistFile, labels: mnist.MnistFile
    ) -> dict[str, str]:
        if self.name == "mnist":  # the files were verified when they were loaded
            return {file.name: file.sha256 for file in (images, labels)}
        n = len(split.images)
        return {
            images.name: digest(split.images, (n, *self.image_shape)),
            labels.name: digest(split.labels, (n,)),
        }


@dataclass(frozen=True)
class Source:
    """The images of a data set before any are held out, so several trainings can share them.

    `train` and `test` are images (n, height, width) and labels (n,), 0 to classes − 1. `test` is
    None if `data.test` is false. `names` are the classes' names, empty if they are just numbered.
    `found` is what `data.path` holds.
    """

    name: str
    train: tuple[Pixels, Pixels]
    test: tuple[Pixels, Pixels] | None
    classes: int
    names: tuple[str, ...] = ()
    found: Collection | None = None

    def split(self, config: Config) -> Dataset:
        """Return the data set, with images held out and left out as the configuration says.

        Raises
        ------
        ConfigError
            As `hold_out`.
        """
        images, labels = self.train
        train, validation = hold_out(labels, config, self.name)
        flat = images.reshape(len(images), -1)
        return Dataset(
            name=self.name,
            image_shape=(images.shape[1], images.shape[2]),
            classes=self.classes,
            train=Split(flat, labels, train),
            validation=Split(flat, labels, validation),
            test=None if self.test is None else whole(*self.test),
            names=self.names,
        )


def load_dataset(config: Config, data_dir: Path) -> Dataset:
    """Load the data set that a configuration names, and split it. Nothing is fetched.

    Raises
    ------
    MlpError
        As `load_source` and `Source.split`.
    """
    return load_source(config.data, data_dir).split(config)


def load_source(data: DataConfig, data_dir: Path) -> Source:
    """Load the images of a data set. Nothing is fetched.

    They are those of `data.path`, the synthetic digits, or MNIST in the folder that
    `mnist.mnist_folder` finds.

    Raises
    ------
    DataError
        If a file is missing, is not MNIST's, or is malformed.
    StorageError
        If a file cannot be read.
    """
    if data.path is not None:
        found = read_for_training(Path(data.path), test=data.test)
        sets = {name: found.parts[name] for name in ("train", "test")[: 1 + data.test]}
        return _source(data.path, sets, found)
    if data.dataset == "synthetic":
        images, labels, test_images, test_labels = synthetic.draw_digits()
        test = (test_images, test_labels) if data.test else None
        return Source("synthetic", (images, labels), test, int(labels.max()) + 1)
    return _source("mnist", read_idx_sets(_verified_files(mnist.mnist_folder(data_dir), data.test)))


def needed_files(test: bool) -> tuple[mnist.MnistFile, ...]:
    """Return the MNIST files that a training reads; those of the test set only if `test`."""
    return mnist.MNIST_FILES if test else (mnist.TRAIN_IMAGES, mnist.TRAIN_LABELS)


def _verified_files(folder: Path, test: bool) -> dict[mnist.MnistFile, Path]:
    paths = {}
    for file in needed_files(test):
        path = mnist.find(folder, file)
        if path is None:
            refuse_to_replace(folder, needed_files(test))
            damaged = [
                f"{at} is damaged: {why}" for at, why in mnist.rejected(folder, file).items()
            ]
            found = "; ".join(damaged) or f"{folder / file.name} is missing"
            raise DataError(
                f"{found}. Run `mlp download-data`, or put MNIST's four files into {folder}."
            )
        paths[file] = path
    return paths


def _source(name: str, parts: Mapping[str, Part], found: Collection | None = None) -> Source:
    """Return the source of labelled sets: the training set, and perhaps a test set."""
    train, test = (_labelled(parts.get(part)) for part in ("train", "test"))
    assert train is not None  # it was asked for
    names = found.names if found else ()
    classes = len(names) or int(train[1].max()) + 1
    numbers = tuple(map(str, range(classes)))  # these name nothing
    return Source(name, train, test, classes, () if names == numbers else names, found)


def _labelled(part: Part | None) -> tuple[Pixels, Pixels] | None:
    if part is None:
        return None
    assert part.labels is not None  # a training needs them
    return part.images, part.labels


def whole(images: Pixels, labels: Pixels) -> Split:
    """Return the split of all images, (n, height, width) or (n, inputs), with labels (n,)."""
    return Split(images.reshape(len(images), -1), labels, np.arange(len(images)))
