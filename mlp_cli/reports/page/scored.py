"""What a page says about the images of a run: its scores, mistakes, calibration and distortions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlp_cli.config.load import load_config
from mlp_cli.data.dataset import Dataset, load_dataset
from mlp_cli.data.identity import known_data, other_data, refusal
from mlp_cli.inference.evaluate import evaluate
from mlp_cli.inference.evaluation import Evaluation
from mlp_cli.inference.model import Model
from mlp_cli.reports.classes import image_of, shown_class
from mlp_cli.reports.figures import seen_images, worst_mistakes
from mlp_cli.reports.page.pictures import Point, draw_reliability, grey_image
from mlp_cli.reports.tables import Column
from mlp_cli.training.metrics import Scores, wilson_interval

MOST_MISTAKES = 24
MOST_ANSWERS = 3  # classes that are shown of what the network thought of an image
MOST_CONFUSIONS = 6
LARGEST_MATRIX = 20  # classes
HEATS = 5  # shades of the confusion matrix
BINS = 15  # as in Guo et al. (2017)
SEEN_CLASSES, SEEN_EPOCHS = 6, 5


class Answer(NamedTuple):
    """A class that the network considered, and its probability in percent."""

    label: int
    percent: float


class Mistake(NamedTuple):
    """A misclassified image: its number in the split, its class, and the likeliest classes.

    `called` is the class as in "a 3".
    """

    number: int
    label: int
    called: str
    image: str
    answers: Sequence[Answer]


class Cell(NamedTuple):
    """A number of images in the confusion matrix, and its shade from 0 (none) to `HEATS`."""

    n: int
    heat: int


class Calibration(NamedTuple):
    """How well probabilities fit what is right: the error in percent, a sentence, and a chart."""

    error: str
    words: str
    chart: str


class Seen(NamedTuple):
    """A training image, and what the network sees of it: data URIs, with the epoch of each."""

    called: str
    number: int
    image: str
    epochs: Sequence[tuple[int, str]]


class Scored(NamedTuple):
    """What a network does with the images of a split.

    `names` are those of the classes, or their numbers. `confusion` is None if there are too many
    classes to show it. `confusions` are sentences about the most frequent ones.
    """

    split: str
    scores: Scores
    names: Sequence[str]
    classes: Sequence[Column]
    confusion: Sequence[Sequence[Cell]] | None
    confusions: Sequence[str]
    mistakes: Sequence[Mistake]
    calibration: Calibration


def load_images(model: Model, split: str, data_dir: Path, data_path: Path | None) -> Dataset:
    """Load the data that a network was trained on; the test set only if it is the split.

    Raises
    ------
    DataError
        If they are missing or damaged, or others than those it was trained on.
    StorageError
        If a file cannot be read.
    """
    moved = {} if data_path is None else {"data.path": data_path}
    changes = {**moved, "data.test": split == "test"}
    config = load_config(model.config, set=changes, warn=lambda _: None)
    with known_data(config.data.path, model.path, model.data.name):
        dataset = load_dataset(config, data_dir)
    if why := other_data(model.data, dataset, dataset.train_digests | dataset.test_digests):
        raise refusal(dataset.name, model.path, model.data.name, why)
    return dataset


def score(model: Model, dataset: Dataset, split: str) -> Scored:
    """Score a network on a split, and look at its mistakes.

    Raises
    ------
    CheckpointError
        If its weights give no probabilities.
    """
    images = dataset.test if split == "test" else dataset.validation
    assert images is not None  # `load_images` has read the split
    found = evaluate([model], images, (dataset.name, split))
    return Scored(
        split,
        found.scores,
        names := [shown_class(label, found.names) for label in range(model.classes)],
        _class_table(found.scores, names),
        _matrix(found.scores),
        _confusions(found.scores, names),
        _mistakes(model, found),
        _calibration(found),
    )


def distortions(model: Model, dataset: Dataset) -> list[Seen]:
    """Return training images and what the network saw of them, none if it saw them as they are."""
    if model.config.distortion.is_none and model.scaling.views is None:
        return []
    seen = seen_images(model.config, dataset, epochs=SEEN_EPOCHS, most=SEEN_CLASSES)
    found = []
    for row, label, original, images in zip(
        seen.rows, seen.labels, seen.originals, seen.images, strict=True
    ):
        epochs = list(zip(map(int, seen.epochs), map(grey_image, images), strict=True))
        called = image_of(label, dataset.names)
        found.append(Seen(called, int(row), grey_image(original), epochs))
    return found


def _class_table(scores: Scores, names: Sequence[str]) -> list[Column]:
    rows = scores.per_class()
    columns = [Column("class", names)]
    for key, heading in (("precision", "precision, %"), ("recall", "recall, %"), ("f1", "F1, %")):
        columns.append(Column(heading, [f"{100 * row[key]:.2f}" for row in rows]))
    return [*columns, Column("images", [f"{row['support']:,}" for row in rows])]


def _matrix(scores: Scores) -> list[list[Cell]] | None:
    """Return the cells by class (rows) and answer; only mistakes have a shade."""
    if len(scores.confusion) > LARGEST_MATRIX:
        return None
    wrong = scores.confusion * (1 - np.eye(len(scores.confusion), dtype=np.int64))
    heats = np.ceil(HEATS * np.log1p(wrong) / np.log1p(max(1, wrong.max()))).astype(int)
    return [
        [Cell(int(n), int(heat)) for n, heat in zip(*row, strict=True)]
        for row in zip(scores.confusion, heats, strict=True)
    ]


def _confusions(scores: Scores, names: Sequence[str]) -> list[str]:
    """Return the most frequent mistakes in words."""
    wrong = scores.confusion * (1 - np.eye(len(scores.confusion), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        f"{names[label]} taken for {names[answer]} ({wrong[label, answer]:,})"
        for label, answer in pairs
        if wrong[label, answer]
    ]


def _mistakes(model: Model, found: Evaluation) -> list[Mistake]:
    numbers = worst_mistakes(found)[:MOST_MISTAKES]
    images = found.source.images[found.source.rows[numbers]]
    probabilities = model.predict_proba(images)
    mistakes = []
    for number, image, of in zip(numbers, images, probabilities, strict=True):
        likeliest = np.argsort(-of, kind="stable")[:MOST_ANSWERS]
        answers = [Answer(int(label), 100 * float(of[label])) for label in likeliest]
        picture = grey_image(image.reshape(found.image_shape) / 255)
        label = int(found.true_labels[number])
        called = image_of(label, found.names)
        mistakes.append(Mistake(int(number), label, called, picture, answers))
    return mistakes


def _calibration(found: Evaluation) -> Calibration:
    """Compare the probability of each answer with how often such answers are right.

    The expected calibration error is Σ_b (n_b / n) |right_b − mean probability_b| over bins of
    equal width (Naeini et al., AAAI 2015; Guo et al., ICML 2017).
    """
    probabilities = found.probabilities.astype(np.float64)
    right = found.predictions == found.true_labels
    bins = np.minimum((BINS * probabilities).astype(int), BINS - 1)
    error, points = 0.0, []
    for of in range(BINS):
        inside = bins == of
        n, hits = int(np.count_nonzero(inside)), int(np.count_nonzero(right & inside))
        if n:
            predicted = float(probabilities[inside].mean())
            error += n / len(right) * abs(hits / n - predicted)
            points.append(Point(predicted, hits / n, *wilson_interval(hits, n)))
    percent = f"{100 * error:.2f} %"
    mean, accuracy = 100 * float(probabilities.mean()), 100 * found.accuracy
    verdict = "too sure" if mean > accuracy else "not sure enough"
    label = f"Reliability diagram: share of right answers by probability, in {len(points)} bins"
    return Calibration(
        percent,
        f"On average the network gives its answers {mean:.2f} %, and {accuracy:.2f} % of them are "
        f"right: it is {verdict}, by {abs(mean - accuracy):.2f} points.",
        draw_reliability("reliability", label, points),
    )
