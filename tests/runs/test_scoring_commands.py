"""`mlp eval` and `mlp gradcheck` as users run them, and a checkpoint in PyTorch."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mlp_cli
from mlp_cli.data.dataset import whole

Mlp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.long
def test_eval_scores_a_committee_writes_predictions_and_checks_the_error(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    for seed in (1, 2):
        assert (
            mlp("train", "--config", config, "--out", seed, "--set", f"seed={seed}").returncode == 0
        )
    done = mlp("eval", "1", "2/last.npz", "--json", "--predictions", "p.csv")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["checkpoint"] == "1/best.npz, 2/last.npz"

    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "label", "prediction", "probability"]
    assert len(rows) == figures["n"]
    assert sum(row["label"] != row["prediction"] for row in rows) == figures["errors"]

    mixed = mlp("eval", "1", "2", "--split", "validation")
    assert mixed.returncode == 2
    assert "different validation images" in mixed.stderr

    text = mlp("eval", "1")
    assert "accuracy" in text.stdout
    assert "→ 9" in text.stdout

    damage = tmp_path / "own-8x8-10" / "t10k-labels-idx1-ubyte"
    content = damage.read_bytes()
    damage.write_bytes(content[:8] + bytes((byte + 1) % 10 for byte in content[8:]))
    gated = mlp("eval", "1", "--max-error", "50")
    assert gated.returncode == 1
    assert "--max-error" in gated.stderr
    assert mlp("eval", "1", "--max-error", "100").returncode == 0


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_checkpoint_loads_into_linear_layers_of_pytorch(
    loss: str, mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch, which only the tests use")
    mlp("train", "--config", config, "--out", "a", "--set", f"loss={loss}",
        "--set", "data.scaling=standard")  # fmt: skip
    with np.load(tmp_path / "a" / "best.npz") as archive:
        state = {
            name.replace("layers.0", "0").replace("layers.1", "2"): torch.from_numpy(archive[name])
            for name in archive.files
            if name.startswith("layers.")
        }
        mean, std = float(archive["input.mean"]), float(archive["input.std"])
    net = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    net.load_state_dict(state)
    model = mlp_cli.load(tmp_path / "a")
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8)).astype(np.uint8)
    x = (torch.from_numpy(images.reshape(50, 64).copy()) / 255 - mean) / std
    with torch.no_grad():
        theirs = net(x.float()).numpy()
    ours = model.logits(whole(images, np.zeros(50, np.uint8)))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_array_equal(model.predict(images), theirs.argmax(axis=1))


def test_gradcheck_shows_shapes_and_errors_by_three_methods(mlp: Mlp, config: Path) -> None:
    done = mlp("gradcheck", "--config", config, "--set", "model.hidden=[7, 5]")
    assert done.returncode == 0, done.stderr
    assert "δᵀ a" in done.stdout
    assert "(32, 7)" in done.stdout
    assert "(7, 64)" in done.stdout
    found = json.loads(mlp("gradcheck", "--config", config, "--json").stdout)
    assert found["wrong"] == []
    assert found["layers"][0]["gradient"] == [16, 64]
    assert set(found["layers"][0]["errors"]) == {"loop", "tiling", "differences"}
