"""Pictures, for those who would rather look: what a network is shown, and what it gets wrong.

A picture is one sheet of images with captions, as .png, .pdf or .svg. Matplotlib, of the extra
`plot`, draws it and is imported for nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset
from mlp_cli.errors import ConfigError
from mlp_cli.inference.evaluate import Evaluation
from mlp_cli.nn.buffers import Array
from mlp_cli.storage.files import atomic_write
from mlp_cli.training.build import build_trainer

FORMATS = (".png", ".pdf", ".svg")
COLUMNS = 10
MOST = 20 * COLUMNS  # images on a sheet
CELL, HEADING = 0.9, 0.4  # inches
CAPTION, GAP = 0.5, 0.15  # of an image's sides
DOTS = 150  # per inch


def check_picture(path: Path) -> None:
    """See that a picture can be drawn under this name, before the work that it shows.

    Raises
    ------
    ConfigError
        If its format is not known, or the extra `plot` is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"{path}: a picture of unknown format. End its name in {', '.join(FORMATS)}."
        )
    if find_spec("matplotlib") is None:
        raise ConfigError("pictures need the extra `plot`: pip install 'mlp-cli[plot]'")


def draw_mistakes(path: Path, evaluation: Evaluation) -> None:
    """Draw the images that were taken for another class, the surest mistakes first.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    labels, predictions = evaluation.labels, evaluation.predictions
    wrong = np.flatnonzero(predictions != labels)
    surest = wrong[np.argsort(-evaluation.probabilities[wrong], kind="stable")][:MOST]
    split = evaluation.source
    title = f"{evaluation.dataset}, {evaluation.split}: {len(wrong)} of {len(labels):,} wrong"
    if len(surest) < len(wrong):
        title += f", the {len(surest)} surest"
    _draw_sheet(
        path,
        title,
        split.images[split.rows[surest]].reshape(-1, *evaluation.image_shape) / 255,
        [
            f"{labels[i]} taken for {predictions[i]}\nno. {i}, {evaluation.probabilities[i]:.0%}"
            for i in surest
        ],
    )


def draw_preview(path: Path, config: Config, dataset: Dataset) -> None:
    """Draw a training image of each class, and what it is in some epochs, before dropout.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    trainer = build_trainer(config, dataset, ThreadTeam(1), NumPyKernels())
    train, height_width = dataset.train, dataset.image_shape
    firsts = np.unique(train.labels[train.rows], return_index=True)[1][: MOST // COLUMNS]
    epochs = np.unique(np.linspace(1, config.training.epochs, COLUMNS - 1).astype(int))
    images, captions = [], []
    for row in train.rows[firsts]:
        images.append(train.images[row] / 255)
        captions.append(f"a {train.labels[row]}\nno. {row}")
        for epoch in epochs:
            images.append(trainer.seen(row, epoch - 1) * trainer.std + trainer.mean)
            captions.append(f"epoch {epoch}")
    _draw_sheet(
        path,
        f"{dataset.name}: training images, and what they are in {config.training.epochs} epochs",
        np.array(images).reshape(-1, *height_width),
        captions,
        columns=1 + len(epochs),
    )


def _draw_sheet(
    path: Path, title: str, images: Array, captions: Sequence[str], columns: int = COLUMNS
) -> None:
    """Draw images (n, height, width), of 0 for black to 1, row by row, each above its caption."""
    from matplotlib.figure import Figure  # its import takes a while, and needs the extra

    n, height, width = images.shape
    rows = max(1, -(-n // columns))
    down, across = height + max(1, round(CAPTION * height)), width + max(1, round(GAP * width))
    sheet = np.ones((rows * down, columns * across))
    figure_width, sheet_height = columns * CELL, rows * CELL * down / across
    figure = Figure(figsize=(figure_width, sheet_height + HEADING))
    axes = figure.add_axes((0, 0, 1, sheet_height / (sheet_height + HEADING)))
    axes.set_axis_off()
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = place // columns * down, place % columns * across
        sheet[top : top + height, left : left + width] = image
        axes.text(left, top + height, caption, fontsize=6, va="top")
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    figure.text(0.01, 1 - 0.1 / (sheet_height + HEADING), title, fontsize=9, va="top")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=DOTS)
    atomic_write(path, drawn.getvalue())
