"""Pictures against the images that they show."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers.stand_ins import idx

from mlp_cli.compute.engine import numpy_engine
from mlp_cli.config.load import load_config
from mlp_cli.data.dataset import load_dataset
from mlp_cli.inference.evaluate import evaluate_checkpoints
from mlp_cli.training.build import build_trainer

Mlp = Callable[..., subprocess.CompletedProcess[str]]
DRAWS = find_spec("matplotlib") is not None
needs_plot = pytest.mark.skipif(not DRAWS, reason="needs the extra `plot`")
SIDE, DOWN, ACROSS = 8, 8 + 4, 8 + 1  # pixels of an image, and from one image to the next
DOTS, TITLE = 0.9 * 150, 0.4 * 150  # dots from one image to the next, and of the title


@pytest.fixture
def run(mlp: Mlp, config: Path, tmp_path: Path) -> Path:
    """Return a run of one epoch that has learnt very little."""
    out = tmp_path / "run"
    rate = "optimizer.learning_rate=1e-5"
    done = mlp("train", "--config", config, "--set", "training.epochs=1", "--set", rate,
               "--out", out, "--quiet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def cells(picture: Path, columns: int) -> np.ndarray:
    """Return the images of a sheet (rows, columns, height, width), from 0 to 1.

    Each pixel is read at its centre. Captions and the space between images are left out.
    """
    from matplotlib.image import imread

    dots = imread(io.BytesIO(picture.read_bytes()))[..., 0]
    dot = DOTS / ACROSS  # the width of one pixel
    assert dots.shape[1] == pytest.approx(columns * DOTS, abs=1)
    rows = round((dots.shape[0] - TITLE) / (dot * DOWN))
    at_i = [TITLE + dot * (row * DOWN + i + 0.5) for row in range(rows) for i in range(SIDE)]
    at_j = [dot * (column * ACROSS + j + 0.5) for column in range(columns) for j in range(SIDE)]
    sampled = dots[np.ix_(np.intp(at_i), np.intp(at_j))]
    return sampled.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3)


@needs_plot
def test_mistakes_are_drawn_with_the_most_probable_first(
    mlp: Mlp, run: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "mistakes.png"
    done = mlp("eval", run, "--mistakes", picture)
    assert (done.returncode, done.stderr) == (0, "")
    found = evaluate_checkpoints([run], "test", tmp_path)
    wrong = [i for i in range(150) if found.labels[i] != found.predictions[i]]
    assert len(wrong) > 20
    wrong.sort(key=lambda i: -found.probabilities[i])
    shown = cells(picture, 10).reshape(-1, SIDE, SIDE)
    assert len(shown) == -(-len(wrong) // 10) * 10
    for image, i in zip(shown, wrong, strict=False):
        np.testing.assert_allclose(image, found.source.images[i].reshape(8, 8) / 255, atol=0.01)
    assert (shown[len(wrong) :] == 1).all()


@needs_plot
def test_a_sheet_without_mistakes_is_empty(
    mlp: Mlp, run: Path, config: Path, tmp_path: Path
) -> None:
    labels = Path(load_config(config, []).data.path or "") / "t10k-labels-idx1-ubyte"
    predictions = evaluate_checkpoints([run], "test", tmp_path).predictions
    labels.write_bytes(idx(predictions.astype(np.uint8)))
    picture = tmp_path / "none.png"
    assert mlp("eval", run, "--mistakes", picture).returncode == 0
    assert (cells(picture, 10) == 1).all()


@pytest.mark.long
@needs_plot
def test_at_most_20_rows_of_mistakes_are_drawn(
    mlp: Mlp, config: Path, own_images: Callable[..., Path], tmp_path: Path
) -> None:
    many = f"data.path={own_images(classes=9, train=2000)}"
    still = ["--set", "training.epochs=1", "--set", "optimizer.learning_rate=1e-5"]
    assert mlp("train", "--config", config, "--set", many, *still, "--out", "run").returncode == 0
    found = evaluate_checkpoints([tmp_path / "run"], "test", tmp_path)
    assert found.scores.errors > 200
    picture = tmp_path / "many.png"
    assert mlp("eval", "run", "--mistakes", picture).returncode == 0
    assert cells(picture, 10).shape[0] == 20


@pytest.mark.long
@needs_plot
@pytest.mark.parametrize("suffix", ["pdf", "SVG"])
def test_a_picture_can_be_pdf_or_svg(suffix: str, mlp: Mlp, run: Path, tmp_path: Path) -> None:
    picture = tmp_path / f"mistakes.{suffix}"
    assert mlp("eval", run, "--mistakes", picture).returncode == 0
    assert picture.read_bytes().startswith(b"%PDF" if suffix == "pdf" else b"<?xml")


@needs_plot
def test_a_preview_shows_the_images_that_are_trained_on(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    text = config.read_text().replace("data: {", "data: {scaling: standard, ")
    config.write_text(text + "distortion: {rotation: 30, elastic: [5, 9], ease: 0.5}\n")
    picture = tmp_path / "preview.png"
    done = mlp("config", "preview", "--config", config, picture)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{picture}\n"
    loaded = load_config(config, [])
    dataset = load_dataset(loaded, tmp_path)
    trainer = build_trainer(loaded, dataset, numpy_engine())
    shown = cells(picture, 1 + 3)  # the image and three epochs
    assert len(shown) == 10
    for label, line in enumerate(shown):
        row = next(row for row in dataset.train.rows if dataset.train.labels[row] == label)
        original = dataset.train.images[row].reshape(8, 8) / 255
        np.testing.assert_allclose(line[0], original, atol=0.01)
        for epoch in range(3):
            seen = trainer.seen(row, epoch) * trainer.scaling.std + trainer.scaling.mean
            np.testing.assert_allclose(line[1 + epoch].ravel(), seen, atol=0.01)
        assert np.abs(line[1] - line[2]).max() > 0.1


@pytest.mark.parametrize("command", ["eval", "preview"])
def test_an_unknown_format_is_refused_before_anything_else(
    command: str, mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.gif"
    arguments = {
        "eval": ("eval", tmp_path / "none", "--mistakes", picture),
        "preview": ("config", "preview", "--config", config, picture),
    }[command]
    done = mlp(*arguments)
    assert done.returncode == 2
    assert "picture.gif" in done.stderr
    assert ".png, .pdf, .svg" in done.stderr


def test_the_message_names_the_missing_extra(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    if DRAWS:
        pytest.skip("the extra `plot` is installed")
    done = mlp("config", "preview", "--config", config, tmp_path / "picture.png")
    assert done.returncode == 2
    assert "pip install 'mlp-cli[plot]'" in done.stderr
    assert not (tmp_path / "picture.png").exists()
