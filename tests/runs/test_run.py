"""`mlp train` as users run it: as processes, with real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import assert_same_run, records

import mlp_cli

ROOT = Path(__file__).parents[2]
Mlp = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_has_its_files_and_eval_gives_the_figures_of_its_result(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    done = mlp("train", "--config", config)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "small-1"
    assert done.stdout.splitlines()[-1] == "runs/small-1"
    assert {entry.name for entry in run.iterdir()} == {
        "config.yaml", "metrics.jsonl", "best.npz", "last.npz", "result.json", "env.json"
    }  # fmt: skip

    epochs = records(run)
    assert [list(epoch) for epoch in epochs] == 3 * [
        [
            "epoch", "step", "learning_rate", "train_loss", "train_accuracy", "val_loss",
            "val_accuracy", "samples_per_second", "seconds",
        ]
    ]  # fmt: skip
    assert [(epoch["epoch"], epoch["step"]) for epoch in epochs] == [(1, 16), (2, 32), (3, 48)]
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]

    result = json.loads((run / "result.json").read_text())
    assert set(result) == {
        "dataset", "epochs", "best_epoch", "val_accuracy", "test_accuracy", "test_errors",
        "test_error_ci95", "at_chance", "seconds", "samples_per_second",
    }  # fmt: skip
    assert result["test_accuracy"] > 0.9
    assert result["best_epoch"] is not None
    assert result["val_accuracy"] == max(epoch["val_accuracy"] for epoch in epochs)

    scored = mlp("eval", run, "--json")
    assert scored.returncode == 0, scored.stderr
    figures = json.loads(scored.stdout)
    assert figures["errors"] == result["test_errors"]
    assert figures["accuracy"] == result["test_accuracy"]
    assert figures["error_ci95"] == result["test_error_ci95"]
    assert np.sum(figures["confusion"]) == figures["n"] == 150
    assert figures["split"] == "test"
    held_out = json.loads(mlp("eval", run, "--split", "validation", "--json").stdout)
    assert held_out["accuracy"] == result["val_accuracy"]
    assert held_out["n"] == 100


def test_stdout_is_the_result_and_the_resolved_configuration_repeats_the_run(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    first = mlp("train", "--config", config, "--out", "a", "--json")
    result = json.loads(first.stdout)  # exactly one object
    assert result["run"] == "a"
    lines = first.stderr.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert "\r" not in first.stderr
    assert "\x1b" not in first.stderr

    quiet = mlp("train", "--config", "a/config.yaml", "--out", "b", "--quiet")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_a_terminal_shows_progress_bars(config: Path, tmp_path: Path) -> None:
    parent, child = os.openpty()
    termios.tcsetwinsize(child, (24, 80))
    command = [sys.executable, "-m", "mlp_cli", "train", "--config", str(config), "--out", "a"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=-1, stderr=child)
    os.close(child)
    shown = b""
    while True:
        try:
            output = os.read(parent, 4096)
        except OSError:  # on Linux: the other side has closed
            break
        if not output:
            break
        shown += output
    out, _ = process.communicate()
    os.close(parent)
    assert process.returncode == 0
    assert out.splitlines()[-1] == b"a"
    assert b"\r" in shown
    assert b"loss" in shown
    assert b"samples/s" in shown


@pytest.mark.long
def test_a_folder_with_a_run_is_refused_resumed_or_overwritten(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    assert mlp("train", "--config", config, "--out", "a").returncode == 0
    before = (tmp_path / "a" / "result.json").read_bytes()

    refused = mlp("train", "--config", config, "--out", "a")
    assert refused.returncode == 2
    assert "--resume" in refused.stderr

    again = mlp("train", "--config", config, "--out", "a", "--resume")
    assert again.returncode == 0
    assert (tmp_path / "a" / "result.json").read_bytes() == before
    assert "epoch 1/" not in again.stderr

    other = mlp("train", "--config", config, "--out", "a", "--resume", "--set", "seed=1")
    assert other.returncode == 2
    assert "seed" in other.stderr

    wrong = mlp("train", "--config", config, "--out", "a", "--overwrite", "--set", "sed=1")
    assert wrong.returncode == 2
    assert (tmp_path / "a" / "result.json").read_bytes() == before

    replaced = mlp("train", "--config", config, "--out", "a", "--overwrite", "--set", "seed=1")
    assert replaced.returncode == 0
    assert (tmp_path / "a" / "result.json").read_bytes() != before


@pytest.mark.long
def test_a_finished_run_can_be_made_longer(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    longer = ["--set", "training.epochs=5"]
    assert mlp("train", "--config", config, "--out", "a").returncode == 0
    assert mlp("train", "--config", config, "--out", "a", "--resume", *longer).returncode == 0
    assert mlp("train", "--config", config, "--out", "b", *longer).returncode == 0
    assert_same_run(tmp_path / "a", tmp_path / "b")

    cosine = ["--config", config, "--out", "c", "--set", "schedule.name=cosine"]
    assert mlp("train", *cosine).returncode == 0
    refused = mlp("train", *cosine, "--resume", *longer)
    assert refused.returncode == 2
    assert "training.epochs" in refused.stderr


@pytest.mark.long
def test_resume_starts_a_run_that_has_no_checkpoint(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    assert mlp("train", "--config", config, "--out", "a", "--resume").returncode == 0
    for name in ("best.npz", "last.npz", "result.json"):  # as after a kill before the first save
        (tmp_path / "a" / name).unlink()
    (tmp_path / "a" / "metrics.jsonl").write_text("")
    assert mlp("train", "--config", config, "--out", "a", "--resume").returncode == 0
    assert len(records(tmp_path / "a")) == 3


@pytest.mark.long
def test_without_validation_images_the_last_checkpoint_is_the_best(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    done = mlp("train", "--config", config, "--out", "a", "--set", "data.validation=0", "--json")
    result = json.loads(done.stdout)
    assert (result["val_accuracy"], result["best_epoch"]) == (None, None)
    assert records(tmp_path / "a")[0]["val_loss"] is None
    assert (tmp_path / "a/best.npz").read_bytes() == (tmp_path / "a/last.npz").read_bytes()
    refused = mlp("eval", "a", "--split", "validation")
    assert refused.returncode == 2
    assert "data.validation: 0" in refused.stderr
    too_many = mlp("train", "--config", config, "--set", "data.validation=600")
    assert too_many.returncode == 2
    assert "600" in too_many.stderr


@pytest.mark.long
def test_without_a_test_set_there_are_no_test_figures(
    mlp: Mlp, config: Path, own_images: Callable[..., Path]
) -> None:
    for file in own_images(classes=3).parent.glob("own-8x8-10/t10k*"):
        file.unlink()
    missing = mlp("train", "--config", config)
    assert missing.returncode == 3
    assert "data.test=false" in missing.stderr
    done = mlp("train", "--config", config, "--set", "data.test=false", "--json")
    result = json.loads(done.stdout)
    assert [result[key] for key in ("test_accuracy", "test_errors", "test_error_ci95")] == 3 * [
        None
    ]


def test_a_training_stops_early_if_validation_does_not_improve(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "own-8x8-10" / "train-labels-idx1-ubyte"
    noise = np.random.default_rng(0).integers(0, 10, 600).astype(np.uint8)
    labels.write_bytes(labels.read_bytes()[:8] + noise.tobytes())  # nothing to learn
    done = mlp(
        "train", "--config", config, "--set", "training.epochs=60", "--set", "training.patience=2",
        "--json",
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert result["epochs"] == result["best_epoch"] + 2 < 60


@pytest.mark.parametrize(
    ("height", "width", "classes"), [(40, 20, 3), pytest.param(8, 8, 10, marks=pytest.mark.long)]
)
def test_images_of_any_size_are_trained_on_and_predicted(
    height: int, width: int, classes: int, mlp: Mlp, own_images: Callable[..., Path], tmp_path: Path
) -> None:
    folder = own_images(height, width, classes)
    (tmp_path / "c.yaml").write_text("data: {validation: 60}\ntraining: {epochs: 4}\n")
    done = mlp("train", "--config", "c.yaml", "--set", f"data.path={folder.name}", "--out", "a")
    assert done.returncode == 0, done.stderr
    figures = json.loads(mlp("eval", "a", "--json").stdout)
    assert figures["dataset"] == str(folder)
    assert len(figures["per_class"]) == classes
    assert figures["accuracy"] > 0.9

    model = mlp_cli.load(tmp_path / "a")
    images = np.zeros((5, height, width), np.uint8)
    assert model.predict(images).shape == (5,)
    assert model.predict_proba(images.reshape(5, -1)).shape == (5, classes)
    np.testing.assert_allclose(model.predict_proba(images).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.long
def test_mnist_is_fetched_trained_on_scored_and_repaired(
    mlp: Mlp, mnist_source: Path, tmp_path: Path
) -> None:
    # `train` itself fetches it from a folder into the data directory, and `eval` finds it there.
    arguments = ["--config", ROOT / "configs" / "quickstart.yaml", "--mirror", mnist_source]
    done = mlp("train", *arguments, "--out", "a", "--set", "training.epochs=1")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    assert result["dataset"] == "mnist"
    assert result["test_accuracy"] > 0.95
    figures = json.loads(mlp("eval", "a", "--json").stdout)
    assert (figures["n"], figures["errors"]) == (10_000, result["test_errors"])

    images = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte"
    content = bytearray(images.read_bytes())
    content[1000] ^= 1
    images.write_bytes(content)
    damaged = mlp("eval", "a", "--split", "train")
    assert damaged.returncode == 3
    assert "damaged" in damaged.stderr
    healed = mlp("train", *arguments, "--out", "b", "--set", "training.epochs=1")
    assert healed.returncode == 0, healed.stderr
    assert_same_run(tmp_path / "a", tmp_path / "b")


@pytest.mark.long
def test_the_synthetic_digits_are_used_if_nothing_can_be_fetched(mlp: Mlp, tmp_path: Path) -> None:
    (tmp_path / "no").mkdir()
    arguments = ["--config", ROOT / "configs" / "quickstart.yaml", "--set", "data.download=false"]
    done = mlp("train", *arguments, "--out", "a", "--set", "training.epochs=3", "--json")
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stderr
    assert json.loads(done.stdout)["dataset"] == "synthetic"
    assert "dataset: synthetic" in (tmp_path / "a" / "config.yaml").read_text()
    figures = json.loads(mlp("eval", "a", "--json").stdout)
    assert (figures["dataset"], figures["n"]) == ("synthetic", 2000)
    assert figures["accuracy"] > 0.95
    again = mlp("train", *arguments, "--out", "a", "--set", "training.epochs=3", "--resume")
    assert again.returncode == 0, again.stderr
