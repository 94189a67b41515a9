"""Networks as arrays: a few lines of NumPy give the network's own answers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.craft import opened, sealed
from helpers.exports import KINDS, SHAPES, name, random_model
from helpers.selection import few

from mlp_cli.errors import CheckpointError
from mlp_cli.inference.export.arrays import npz_bytes
from mlp_cli.inference.export.checking import drawn_images
from mlp_cli.inference.export.plain import plain_network
from mlp_cli.inference.model import load
from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.losses import LOSSES


@pytest.mark.parametrize("kind", few([*KINDS, *SHAPES], 5), ids=name)
def test_plain_layers_give_the_answers_of_the_network(
    kind: dict[str, object], tmp_path: Path
) -> None:
    model = random_model(tmp_path / "run", **kind)
    images = drawn_images(model.image_shape)
    arrays = np.load(io.BytesIO(npz_bytes(model)), allow_pickle=False)
    f = ACTIVATIONS[plain_network(model).activation].apply
    if "slope" in kind:
        f = model.network.activation.apply
    a, last = images.reshape(len(images), -1), len(model.network.weights) - 1
    for layer in range(last + 1):
        z = a @ arrays[f"layers.{layer}.weight"].T + arrays[f"layers.{layer}.bias"]
        assert z.dtype == np.float32
        a = z
        if layer < last:
            f(a, np.empty_like(a), np.empty_like(a))
    np.testing.assert_array_equal(z.argmax(axis=1), model.predict(images))
    probabilities = np.exp(LOSSES[model.config.loss].log_probabilities(z))
    np.testing.assert_allclose(probabilities, model.predict_proba(images), rtol=0, atol=1e-5)


def test_the_weights_of_a_network_that_folds_nothing_are_unchanged_but_for_the_range(
    tmp_path: Path,
) -> None:
    model = random_model(tmp_path / "run")
    for white in (1.0, 255.0):
        plain = plain_network(model, white)
        np.testing.assert_allclose(plain.weights[0] * white, model.network.weights[0], rtol=1e-6)
        for found, own in zip(plain.weights[1:], model.network.weights[1:], strict=True):
            np.testing.assert_array_equal(found, own)
        for found, own in zip(plain.biases, model.network.biases, strict=True):
            np.testing.assert_array_equal(found, own)
    np.testing.assert_array_equal(plain_network(model, 1.0).weights[0], model.network.weights[0])


def test_the_file_says_what_it_is_and_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    model = random_model(tmp_path / "a run", data="/secret/日本\x1b", batch_norm=True)
    content = npz_bytes(model)
    about = json.loads(np.load(io.BytesIO(content))["about"].item())
    assert about["input"] == "pixels, 0 to 255"
    assert about["data"] == "日本\\x1b"
    assert about["epoch"] == "3"
    assert b"secret" not in content
    assert npz_bytes(model) == content


def test_an_export_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "net.npz").write_bytes(npz_bytes(random_model(tmp_path / "run")))
    with pytest.raises(CheckpointError, match="damaged or no checkpoint of mlp"):
        load(tmp_path / "net.npz")


def test_weights_that_do_not_fit_into_float32_are_refused(tmp_path: Path) -> None:
    random_model(tmp_path / "run", dtype="float64")
    arrays, header = opened(tmp_path / "run" / "best.npz")
    arrays["input.std"] = np.array(1e-300)
    (tmp_path / "run" / "best.npz").write_bytes(sealed(arrays, header))
    with pytest.raises(CheckpointError, match="its weights do not fit into float32"):
        npz_bytes(load(tmp_path / "run"))
