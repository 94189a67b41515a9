"""Make the checkpoints of this folder anew, by the program's own command line.

    python tests/golden/make.py

Every release must load the checkpoints that are here. Add a folder for a new format, and never make
an old one again with a newer release. `expected.json` holds what each one predicts.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

import mlp_cli
from mlp_cli.storage.checkpoint import load_checkpoint, save_checkpoint

FOLDER = Path(__file__).parent / "format-1"
DATA = Path("/tmp/mlp-golden")  # the checkpoints contain this path, but load without it

COMMON = ["data.validation=12", "training.batch_size=16", "training.epochs=3", "data.test=false"]
ADAM = ["optimizer.name=adam", "optimizer.learning_rate=0.05"]
RUNS = {
    "softmax-sgd-float32": ["model.hidden=[]"],
    "softmax-adam-float64": ["model.hidden=[]", *ADAM, "training.dtype=float64"],
    "hidden-momentum-float32": ["model.hidden=[5, 4]", "optimizer.momentum=0.9"],
    "hidden-adam-float32": ["model.hidden=[5, 4]", *ADAM, "data.scaling=standard"],
}


def write_data(folder: Path) -> None:
    """Write 60 images of 5 × 4 pixels in 3 classes, the same at each call."""
    folder.mkdir(exist_ok=True)
    labels = (np.arange(60) % 3).astype(np.uint8)
    images = (np.arange(60 * 20).reshape(60, 5, 4) * 37 % 56).astype(np.uint8)
    images[np.arange(60), labels] += 200  # a class is a bright row
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (folder / f"train-{name}-ubyte").write_bytes(head + array.tobytes())


def probes() -> np.ndarray:
    """Return images to predict, (8, 5, 4)."""
    return (np.arange(8 * 20).reshape(8, 5, 4) * 101 % 256).astype(np.uint8)


def expected(path: Path) -> dict[str, object]:
    """Return the digest and the predictions of a checkpoint."""
    with np.load(path, allow_pickle=False) as archive:
        digest = str(archive["digest"])
    model = mlp_cli.load(path)
    return {
        "digest": digest,
        "predictions": model.predict(probes()).tolist(),
        "probabilities": model.predict_proba(probes()).astype(np.float64).round(5).tolist(),
    }


def main() -> None:
    write_data(DATA)
    FOLDER.mkdir(exist_ok=True)
    (DATA / "empty.yaml").write_text("{}\n")
    found = {}
    for name, changes in RUNS.items():
        out = DATA / name
        settings = [f"data.path={DATA}", *COMMON, *changes]
        options = [word for change in settings for word in ("--set", change)]
        command = ["train", "--config", DATA / "empty.yaml", "--out", out, "--overwrite", *options]
        subprocess.run([sys.executable, "-m", "mlp_cli", *command], check=True)
        for kind in ("best", "last"):
            path = FOLDER / f"{name}-{kind}.npz"
            made = load_checkpoint(out / f"{kind}.npz")
            made.header["environment"] |= {"platform": "Linux", "processor": "any"}
            save_checkpoint(path, made.arrays, made.header)
            found[path.name] = expected(path)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in found)
    (FOLDER / "expected.json").write_text(f"{{\n{lines}\n}}\n")
    shutil.rmtree(DATA)


if __name__ == "__main__":
    main()
