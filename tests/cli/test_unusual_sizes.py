"""Few images, unusual batches, tiny numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.proofs import Proof
from helpers.quick_training import Train
from helpers.stand_ins import idx


def images(folder: Path, train: int, test: int, classes: int, ink: int | None = None) -> Path:
    """Write a few images of noise, or of one grey."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, n in (("train", train), ("t10k", test)):
        pixels = generator.integers(0, 256, (n, 8, 8)) if ink is None else np.full((n, 8, 8), ink)
        labels = np.arange(n) % classes
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(pixels.astype(np.uint8)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels.astype(np.uint8)))
    return folder


LONG = ["training.epochs=100"]
# Images (training, test, classes, grey), held-out images, changes, and the steps or words expected.
SIZES: list[tuple[tuple[int, ...], int, list[str], int | bytes]] = [
    ((50, 9, 3), 10, ["training.batch_size=1000000"], 2),
    ((50, 9, 3), 10, ["training.batch_size=40"], 2),
    ((50, 9, 3), 10, ["training.batch_size=39"], 4),
    ((50, 9, 3), 10, ["training.batch_size=1"], 80),
    ((50, 9, 3), 10, ["training.batch_size=7", "optimizer.name=adam"], 12),
    ((50, 9, 3), 49, ["training.batch_size=7"], 2),
    ((50, 9, 3), 50, [], b"data.validation: cannot hold out 50 images"),
    ((50, 9, 3), 10, ["training.epochs=0"], b"training.epochs: found 0; must be"),
    ((20, 5, 1), 5, [], 2),
    ((20, 5, 1), 5, ["loss=mse", "optimizer.name=rmsprop"], 2),
    ((1, 1, 1), 0, [], 2),
    ((1, 1, 1), 1, [], b"data.validation: cannot hold out 1 images"),
    ((2, 1, 2), 1, ["model.hidden=[]"], 2),
    ((0, 1, 1), 0, [], b"is empty"),
    ((1, 0, 1), 0, [], b"is empty"),
    ((50, 9, 3, 0), 10, ["data.scaling=standard"], 4),
    ((50, 9, 3, 255), 10, ["data.scaling=standard"], 4),
    ((50, 9, 3), 10, ["optimizer.learning_rate=1e-45"], 4),
    ((50, 9, 3), 10, ["training.dtype=float64", "optimizer.learning_rate=5e-324"], 4),
    ((50, 9, 3), 10, ["optimizer.learning_rate=0.9", "optimizer.weight_decay=1", *LONG], 200),
    ((50, 9, 3, 0), 10, ["optimizer={name: adam, epsilon: 1e-30, learning_rate: 1e-40}"], 4),
    ((50, 9, 3, 0), 10, ["optimizer={name: rmsprop, epsilon: 1e-30, rho: 0}"], 4),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.proof("N2 few images, unusual batches, tiny numbers")
def test_unusual_sizes_train_or_are_refused_by_one_message(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    for number, (data, held_out, changes, expected) in enumerate(proof.points(SIZES, quick=8)):
        folder = images(tmp_path / f"images{number}", *data)
        settings = [f"data.path={folder}", f"data.validation={held_out}", *changes]
        done = train(*(word for each in settings for word in ("--set", each)), "--out", number)
        if isinstance(expected, bytes):
            assert done.returncode in (2, 3)
            assert expected in done.stderr
            assert done.stderr.count(b"\n") == 1
            continue
        assert done.returncode == 0, (changes, done.stderr)
        lines = (tmp_path / str(number) / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] == expected
        with np.load(tmp_path / str(number) / "best.npz") as archive:
            weights = [archive[name] for name in archive.files if name.startswith("layers")]
        assert all(np.isfinite(array).all() for array in weights)
