"""A training that diverges stops before the bad update, keeps its last good state, and reports."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.networks import KERNELS
from helpers.proofs import Proof
from helpers.runs import records
from helpers.selection import few

from mlp_cli.compute.engine import Engine
from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import load_dataset
from mlp_cli.training.build import build_trainer
from mlp_cli.training.divergence import _Examination, _Moment

REGULARISERS = {
    "input_dropout": 0.2, "dropout": 0.3, "input_noise": 3.0, "noise": 0.5, "max_norm": 1.0,
    "label_smoothing": 0.1, "average": 0.5,
}  # fmt: skip
DISTORTIONS = {
    "rotation": 90, "scale": 0.3, "shear": 0.3, "shift": 2, "elastic": [3, 5], "thickness": 0.9,
    "ease": 0.5,
}  # fmt: skip

Mlp = Callable[..., subprocess.CompletedProcess[str]]

# What is not finite first, its layer, and the changes of the configuration that lead to it.
CASES = [
    ("outputs", 2, "optimizer={name: rmsprop, learning_rate: 1e20}"),
    ("outputs", 1, "optimizer.learning_rate=1e38"),
    (
        "gradients",
        1,
        "model={hidden: [16, 16], activation: scaled_tanh}",
        "optimizer.learning_rate=1e37",
    ),
    ("updated weights", 2, "optimizer={name: adamw, learning_rate: 1e18, weight_decay: 0.5}"),
]


@pytest.fixture
def diverge(mlp: Mlp, config: Path, tmp_path: Path) -> Callable[..., tuple[dict, str]]:
    """Train with changes, check that it diverges, and return `divergence.json` and stderr."""

    def run(*changes: str, **options: str) -> tuple[dict, str]:
        changes = ("optimizer={name: sgd}", "training.epochs=9", *changes)
        sets = [word for change in changes for word in ("--set", change)]
        done = mlp("train", "--config", config, "--out", "a", *options.values(), *sets)
        assert done.returncode == 6, done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "a" / "result.json").exists()
        return json.loads((tmp_path / "a" / "divergence.json").read_text()), done.stderr

    return run


@pytest.mark.parametrize(
    ("what", "layer", "changes"), few([pytest.param(a, b, c) for a, b, *c in CASES], 2)
)
def test_the_first_bad_step_is_named_and_not_taken(
    what: str, layer: int, changes: list[str], diverge: Callable, tmp_path: Path
) -> None:
    found, stderr = diverge(*changes)
    assert (found["what"], found["layer"]) == (what, layer)
    assert f"in epoch {found['epoch']}, at step {found['step']} (batch {found['batch']}" in stderr
    assert len(found["images"]) == 32
    assert [step["step"] for step in found["steps"]] == list(range(1, found["step"] + 1))
    assert f"step {found['step']}: loss" in stderr
    assert "a tenth" in found["hint"] and found["hint"] in stderr
    with np.load(tmp_path / "a" / "last.npz") as archive:
        assert json.loads(str(archive["header"]))["state"]["step"] == found["step"] - 1
        assert all(np.isfinite(archive[n]).all() for n in archive.files if "." in n)


RULES = [
    "{name: sgd}", "{name: sgd, momentum: 0.9}", "{name: sgd, momentum: 0.9, nesterov: true}",
    "{name: rmsprop}", "{name: adam}", "{name: adamw, weight_decay: 0.1}",
]  # fmt: skip


@pytest.mark.long
@pytest.mark.proof("N1 an absurd learning rate, with every rule")
def test_a_divergence_is_reported_for_every_rule(
    proof: Proof, diverge: Callable, tmp_path: Path
) -> None:
    points = [(rule, seed) for seed in range(10) for rule in RULES]
    for rule, seed in proof.points(points, quick=3):
        if (tmp_path / "a").exists():
            shutil.rmtree(tmp_path / "a")
        found, stderr = diverge(f"optimizer={rule}", "optimizer.learning_rate=1e30", f"seed={seed}")
        assert f"at step {found['step']} " in stderr
        with np.load(tmp_path / "a" / "last.npz") as archive:
            assert all(np.isfinite(archive[n]).all() for n in archive.files if "." in n)


@pytest.mark.long
def test_a_late_divergence_keeps_the_epochs_before_it(diverge: Callable, tmp_path: Path) -> None:
    changes = ("model.activation=identity", "optimizer.learning_rate=0.8")
    found, _ = diverge(*changes)
    assert found["epoch"] > 2
    assert found["step"] == 16 * (found["epoch"] - 1) + found["batch"]
    assert len(found["steps"]) == 8
    assert found["steps"][-1]["loss"] is None
    assert all(step["loss"] is not None for step in found["steps"][:-1])
    lines = records(tmp_path / "a")
    assert len(lines) == found["epoch"] - 1
    best = max(lines, key=lambda line: (line["val_accuracy"], -line["val_loss"]))
    with np.load(tmp_path / "a" / "best.npz") as archive:
        assert json.loads(str(archive["header"]))["state"]["epoch"] == best["epoch"]

    again, resumed = diverge(
        "model.activation=identity", "optimizer.learning_rate=0.8", o="--resume"
    )
    assert again["step"] == found["step"]
    assert len(records(tmp_path / "a")) == found["epoch"] - 1
    assert f"at step {found['step']} " in resumed


def test_the_report_mentions_inputs_that_are_not_scaled(
    mlp: Mlp, tmp_path: Path, own_images: Callable[..., Path]
) -> None:
    folder = own_images()
    images = folder / "train-images-idx3-ubyte"
    content = bytearray(images.read_bytes())
    content[16:] = bytes(
        len(content) - 16
    )  # all black but one pixel: the standard deviation is tiny
    content[16] = 255
    images.write_bytes(content)
    (tmp_path / "c.yaml").write_text(
        f"data: {{path: {folder}, validation: 1, scaling: standard}}\n"
        "model: {hidden: []}\noptimizer: {learning_rate: 1e38}\n"
        "training: {batch_size: 599}\n"
    )
    done = mlp("train", "--config", "c.yaml", "--out", "a")
    assert done.returncode == 6
    assert "not scaled" in done.stderr


VARIATIONS: list[dict[str, Any]] = [
    {},
    {"model.batch_norm": True},
    {"loss": "mse", "model.activation": "sigmoid", "data.scaling": "standard"},
    {"model.hidden": []},
    {"training.batch_size": 600},
    *({f"regularisation.{key}": value} for key, value in REGULARISERS.items()),
    *({f"distortion.{key}": value} for key, value in DISTORTIONS.items()),
    {f"regularisation.{key}": value for key, value in REGULARISERS.items()}
    | {f"distortion.{key}": value for key, value in DISTORTIONS.items()},
]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda changes: "-".join(changes) or "plain")
def test_the_examined_step_is_the_trained_one(
    variation: dict[str, Any],
    dtype: str,
    threads: int,
    kernels: type[Kernels],
    own_images: Callable[..., Path],
) -> None:
    data: dict[str, Any] = {
        "data": {"path": str(own_images(train=1500)), "validation": 100},
        "model": {"hidden": [9, 7]},
        "optimizer": {"learning_rate": 1.0},
        "training": {"batch_size": 60, "dtype": dtype},
    }
    for key, value in variation.items():
        section, _, name = key.rpartition(".")
        (data.setdefault(section, {}) if section else data)[name] = value
    config = from_dict(data, "the test")
    engine = Engine(ThreadTeam(threads), kernels())
    trainer = build_trainer(config, load_dataset(config, Path()), engine)
    limited = config.regularisation.max_norm is not None
    losses: list[float] = []

    def on_chunk(loss: float) -> bool:
        losses.append(loss)
        return True

    for _ in range(3):  # the first minibatch and later ones
        before = _Moment.of(trainer)
        examination = _Examination(trainer, trainer.next_batch())
        before.put_back(trainer)
        weights = [W.astype(np.float64) for W in trainer.network.weights]
        trainer.train_epoch(on_chunk, trainer.K)
        # At a rate of 1, plain SGD subtracts the gradient.
        moved = [
            np.linalg.norm(old - new.astype(np.float64))
            for old, new in zip(weights, trainer.network.weights, strict=True)
        ]
        step = examination.step
        assert step.loss == losses[-1]
        assert step.weight_norms == pytest.approx([np.linalg.norm(W) for W in weights])
        if limited:  # max-norm also changes the rows of the hidden layers
            moved, gradient_norms = moved[-1:], step.gradient_norms[-1:]
        else:
            gradient_norms = step.gradient_norms
        tolerance = 1e-4 if dtype == "float32" else 1e-10
        assert gradient_norms == pytest.approx(moved, rel=tolerance, abs=tolerance)
