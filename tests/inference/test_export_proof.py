"""Trained networks of every activation, asked about MNIST's test images in other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.exports import Images, compiled, probabilities_of, run_c, sequential
from helpers.proofs import Proof

from mlp_cli import SilentObserver, train
from mlp_cli.inference.evaluate import load_data
from mlp_cli.inference.export.formats import write_export
from mlp_cli.inference.export.onnx_model import run_onnx
from mlp_cli.inference.model import Model
from mlp_cli.nn.activations import ACTIVATIONS

for library, reason in (
    ("onnxruntime", "needs the extra `onnx`"),
    ("safetensors", "needs the extra `safetensors`"),
    ("torch", "needs PyTorch"),
):
    pytest.importorskip(library, reason=reason)

TRIALS = [(name, batch_norm) for name in ACTIVATIONS for batch_norm in (False, True)]


def elsewhere(model: Model, images: Images, folder: Path) -> dict[str, float]:
    """Export a model, and return the largest difference of a probability in each program.

    Every program must give the model's class for each image.
    """
    import torch
    from safetensors.torch import load_file

    for name in ("net.onnx", "net.safetensors", "net.c"):
        write_export(model, folder / name, folder)
    network = sequential(model)
    network.load_state_dict(load_file(folder / "net.safetensors"), strict=True)
    with torch.no_grad():
        z = network(torch.from_numpy(images.reshape(len(images), -1)) / 255)
    classes, of_c = run_c(compiled(folder / "net.c"), images, model.classes)
    np.testing.assert_array_equal(classes, model.predict(images))
    found = {
        "ONNX Runtime": run_onnx((folder / "net.onnx").read_bytes(), images),
        "PyTorch": probabilities_of(z.numpy(), model),
        "C": of_c,
    }
    for probabilities in found.values():
        np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(images))
    own = model.predict_proba(images)
    return {name: float(np.abs(each - own).max()) for name, each in found.items()}


@pytest.mark.nightly
@pytest.mark.proof("a network in another program, on 10,000 images")
def test_exports_of_trained_networks_agree_on_all_test_images(
    proof: Proof, tmp_path: Path, mnist_source: Path
) -> None:
    for activation, batch_norm in proof.points(TRIALS, quick=2):
        changes = {
            "model.activation": activation,
            "model.batch_norm": batch_norm,
            "model.hidden": [64, 32],
            "data.validation": 55_000,
            "training.epochs": 2,
            "optimizer.name": "adam",
        }
        folder = tmp_path / f"{activation}-{batch_norm}"
        run = train(
            {}, out=folder, set=changes, data_dir=mnist_source, observer=SilentObserver(),
            kernels="numpy", threads=1,
        )  # fmt: skip
        model = run.model()
        test = load_data([model], "test", mnist_source, None, pytest.fail).test
        assert test is not None
        images = test.images.reshape(-1, 28, 28)
        assert len(images) == 10_000
        for program, difference in elsewhere(model, images, folder).items():
            assert difference <= 1e-5, (program, activation, batch_norm)
