"""Data sets: the images and labels for training, validation and testing.

Images stay `uint8`, as in the files. Raw files are mapped into memory, so the processes of a sweep
share one copy, and a run reads only what it uses. A `Split` is images, labels, and the rows that
belong to the split. Nothing is fetched here: `runs.fetching` calls `download` if files are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mlp_cli.config.schema import Config
from mlp_cli.config.sections import DataConfig
from mlp_cli.data import mnist, synthetic
from mlp_cli.data.digest import digest
from mlp_cli.data.formats.collection import NoFileError
from mlp_cli.data.holding_out import hold_out
from mlp_cli.data.idx import read_idx
from mlp_cli.data.replacing import refuse_to_replace
from mlp_cli.errors import DataError
from mlp_cli.nn.buffers import Pixels, Rows
from mlp_cli.storage.files import storage_errors
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
    width). Labels are 0 to classes − 1. `test` is None if `data.test` is false.
    """

    name: str
    image_shape: tuple[int, int]
    classes: int
    train: Split
    validation: Split
    test: Split | None

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
        return DataRecord(self.name, list(self.image_shape), self.classes, digests)

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

    `train` and `test` are images (n, height, width) and labels (n,). `test` is None if `data.test`
    is false.
    """

    name: str
    train: tuple[Pixels, Pixels]
    test: tuple[Pixels, Pixels] | None

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
            classes=int(labels.max()) + 1,
            train=Split(flat, labels, train),
            validation=Split(flat, labels, validation),
            test=None if self.test is None else whole(*self.test),
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

    It is the folder `data.path`, the synthetic digits, or MNIST in the folder that
    `mnist.mnist_folder` finds.

    Raises
    ------
    DataError
        If a file is missing, is not MNIST's, or is malformed.
    StorageError
        If a file cannot be read.
    """
    if data.path is not None:
        return _from_files(data.path, _own_files(Path(data.path), data.test))
    if data.dataset == "synthetic":
        images, labels, test_images, test_labels = synthetic.draw_digits()
        test = (test_images, test_labels) if data.test else None
        return Source("synthetic", (images, labels), test)
    return _from_files("mnist", _verified_files(mnist.mnist_folder(data_dir), data.test))


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


def _own_files(folder: Path, test: bool) -> dict[mnist.MnistFile, Path]:
    paths = {}
    for file in needed_files(test):
        with storage_errors("read the folder", folder):
            found = mnist.files_named(folder, file.name)
        if not found:
            optional = file in (mnist.TEST_IMAGES, mnist.TEST_LABELS)
            hint = " To train without a test set: --set data.test=false." if optional else ""
            raise NoFileError(
                f"data.path {folder}: there is neither {file.name} nor {file.name}.gz. "
                f"Put the IDX file there under one of these names.{hint}"
            )
        paths[file] = found[0]
    return paths


def _from_files(name: str, paths: dict[mnist.MnistFile, Path]) -> Source:
    images, labels = _read_pair(paths[mnist.TRAIN_IMAGES], paths[mnist.TRAIN_LABELS])
    test = None
    if mnist.TEST_IMAGES in paths:
        test = _read_pair(paths[mnist.TEST_IMAGES], paths[mnist.TEST_LABELS])
        if test[0].shape[1:] != images.shape[1:]:
            raise DataError(
                f"{paths[mnist.TEST_IMAGES]}: the test images have {_size(test[0])} pixels, but "
                f"the training images have {_size(images)}. Make them the same size."
            )
        classes = int(labels.max()) + 1
        if test[1].max() >= classes:
            raise DataError(
                f"{paths[mnist.TEST_LABELS]}: it has label {test[1].max()}, but the training "
                f"labels are 0 to {classes - 1}. Add training images of it, or remove it here."
            )
    return Source(name, (images, labels), test)


def _size(images: Pixels) -> str:
    return f"{images.shape[1]}×{images.shape[2]}"


def _read_pair(images_path: Path, labels_path: Path) -> tuple[Pixels, Pixels]:
    images, labels = read_idx(images_path, ndim=3), read_idx(labels_path, ndim=1)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: it holds {len(labels)} labels, but {images_path.name} holds "
            f"{len(images)} images. Use two files that belong together."
        )
    return images, labels


def whole(images: Pixels, labels: Pixels) -> Split:
    """Return the split of all images, (n, height, width) or (n, inputs), with labels (n,)."""
    return Split(images.reshape(len(images), -1), labels, np.arange(len(images)))
