"""Pictures of what a network sees, and of the images that it misclassifies.

A picture is one sheet of images with captions, as .png, .pdf or .svg. It needs Matplotlib, which
the extra `plot` installs and only this module, `comparison_figures` and `page` import.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlp_cli.compute.engine import numpy_engine
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset
from mlp_cli.errors import ConfigError, visible
from mlp_cli.inference.evaluation import Evaluation
from mlp_cli.nn.buffers import Array, Pixels, Rows
from mlp_cli.reports.classes import NARROW, image_of, shown_class
from mlp_cli.storage.files import atomic_write
from mlp_cli.training.build import build_trainer

FORMATS = (".png", ".pdf", ".svg")
COLUMNS = 10
MAX_IMAGES = 20 * COLUMNS  # on a sheet
CELL, HEADING, LINE = 0.9, 0.4, 0.2  # inches; LINE is a second line of the heading
CAPTION, GAP = 0.5, 0.15  # shares of an image's height and width
DOTS = 150  # per inch


def check_picture(path: Path) -> None:
    """Check that a picture can be drawn to this path; call this before long work.

    Raises
    ------
    ConfigError
        If the format is unknown, or the extra `plot` is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: unknown picture format. Use one of {', '.join(FORMATS)}.")
    if find_spec("matplotlib") is None:
        raise ConfigError("pictures need the extra `plot`: pip install 'mlp-cli[plot]'")


def draw_mistakes(path: Path, evaluation: Evaluation) -> None:
    """Draw the misclassified images, those with the highest probability first.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    wrong = worst_mistakes(evaluation)
    shown = wrong[:MAX_IMAGES]
    split = evaluation.source
    title = (
        f"{visible(evaluation.dataset)}, {evaluation.split}: {len(wrong)} of {len(split):,} wrong"
    )
    if len(shown) < len(wrong):
        title += f", the {len(shown)} most certain"
    if evaluation.averaging is not None:
        title += f"\n{evaluation.averaging}"
    _draw_sheet(
        path,
        title,
        split.images[split.rows[shown]].reshape(-1, *evaluation.image_shape) / 255,
        [_caption(evaluation, int(i)) for i in shown],
    )


def _caption(evaluation: Evaluation, i: int) -> str:
    """Return what stands below a misclassified image. A name gets a line of its own."""
    names = evaluation.names
    label = shown_class(evaluation.true_labels[i], names, NARROW)
    prediction = shown_class(evaluation.predictions[i], names, NARROW)
    separator = "\n" if names else " "
    number = f"no. {i}, {evaluation.probabilities[i]:.0%}"
    return f"{label}{separator}taken for {prediction}\n{number}"


def worst_mistakes(evaluation: Evaluation) -> Rows:
    """Return the numbers of the misclassified images, those with the highest probability first."""
    wrong = np.flatnonzero(evaluation.predictions != evaluation.true_labels)
    return wrong[np.argsort(-evaluation.probabilities[wrong], kind="stable")]


class SeenImages(NamedTuple):
    """Training images of different classes, and what the network sees of them.

    `rows` and `labels` (n,) are their numbers and classes, and `epochs` (e,) counts from 1.
    `originals` (n, height, width) has each image as it is, and `images` (n, e, height, views ·
    width) as the network sees it in each of the epochs, with its views side by side.
    """

    rows: Rows
    labels: Pixels
    epochs: Rows
    originals: Array
    images: Array


def seen_images(config: Config, dataset: Dataset, *, epochs: int, most: int) -> SeenImages:
    """Return a training image of each class, of at most `most`, and what the network sees of it.

    The epochs, at most `epochs`, spread over the training. Noise and dropout are left out.
    """
    trainer = build_trainer(config, dataset, numpy_engine())
    train, (mean, std, _) = dataset.train, trainer.scaling
    firsts = np.unique(train.labels[train.rows], return_index=True)[1][:most]
    rows = train.rows[firsts]
    spread = np.unique(np.linspace(1, config.training.epochs, epochs).astype(int))
    shape = dataset.image_shape
    images = [
        [side_by_side(trainer.seen(row, epoch - 1) * std + mean, shape) for epoch in spread]
        for row in rows
    ]
    originals = train.images[rows].reshape(-1, *shape) / 255
    return SeenImages(rows, train.labels[rows], spread, originals, np.array(images))


def side_by_side(inputs: Array, shape: tuple[int, int]) -> Array:
    """Return the views of an image (inputs,) side by side, (height, views · width)."""
    return np.hstack([*inputs.reshape(-1, *shape)])


def draw_preview(path: Path, config: Config, dataset: Dataset) -> None:
    """Draw a training image of each class, and what the network sees of it in some epochs.

    Dropout is left out.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    seen = seen_images(config, dataset, epochs=COLUMNS - 1, most=MAX_IMAGES // COLUMNS)
    captions = []
    for row, label in zip(seen.rows, seen.labels, strict=True):
        shown = image_of(label, dataset.names, NARROW)
        captions += [f"{shown}\nno. {row}", *(f"epoch {epoch}" for epoch in seen.epochs)]
    # Beside views, the image itself gets a white margin.
    n, _, height, width = seen.images.shape
    firsts = np.ones((n, 1, height, width))
    firsts[:, 0, :, : dataset.image_shape[1]] = seen.originals
    _draw_sheet(
        path,
        f"{visible(dataset.name)}: training images, as seen during {config.training.epochs} epochs",
        np.concatenate([firsts, seen.images], axis=1).reshape(-1, height, width),
        captions,
        columns=1 + len(seen.epochs),
        cell=CELL * width / dataset.image_shape[1],
    )


def _draw_sheet(
    path: Path,
    title: str,
    images: Array,
    captions: Sequence[str],
    columns: int = COLUMNS,
    cell: float = CELL,
) -> None:
    """Draw images (n, height, width) from 0 (black) to 1 (white), with their captions below.

    A column is `cell` inches wide.
    """
    from matplotlib.figure import Figure  # the import is slow, and needs the extra

    n, height, width = images.shape
    rows = max(1, -(-n // columns))
    down, across = height + max(1, round(CAPTION * height)), width + max(1, round(GAP * width))
    sheet = np.ones((rows * down, columns * across))
    figure_width, sheet_height = columns * cell, rows * cell * down / across
    whole_height = sheet_height + HEADING + LINE * title.count("\n")
    figure = Figure(figsize=(figure_width, whole_height))
    axes = figure.add_axes((0, 0, 1, sheet_height / whole_height))
    axes.set_axis_off()
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = place // columns * down, place % columns * across
        sheet[top : top + height, left : left + width] = image
        axes.text(left, top + height, caption, fontsize=6, va="top", parse_math=False)
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    above = 1 - 0.1 / whole_height
    figure.text(0.01, above, title, fontsize=9, va="top", parse_math=False)
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the font lacks a character of a name
        figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=DOTS)
    atomic_write(path, drawn.getvalue())
