"""Networks as safetensors: a Sequential of PyTorch takes them strictly and gives their answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.exports import KINDS, MODULES, SHAPES, name, probabilities_of, random_model, sequential

from mlp_cli.inference.export.checking import drawn_images
from mlp_cli.inference.export.safetensors_file import safetensors_bytes
from mlp_cli.nn.activations import ACTIVATIONS

safetensors = pytest.importorskip("safetensors", reason="needs the extra `safetensors`")


def test_the_page_names_a_module_for_each_activation() -> None:
    assert list(MODULES) == list(ACTIVATIONS)


@pytest.mark.parametrize("kind", [*KINDS, *SHAPES], ids=name)
def test_a_sequential_takes_the_weights_strictly_and_gives_the_same_answers(
    kind: dict[str, object], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from safetensors.torch import load

    model = random_model(tmp_path / "run", **kind)
    network = sequential(model)
    network.load_state_dict(load(safetensors_bytes(model)), strict=True)
    images = drawn_images(model.image_shape)
    with torch.no_grad():
        z = network(torch.from_numpy(images.reshape(len(images), -1)) / 255)
    np.testing.assert_array_equal(z.argmax(dim=1).numpy(), model.predict(images))
    probabilities = probabilities_of(z.numpy(), model)
    np.testing.assert_allclose(probabilities, model.predict_proba(images), rtol=0, atol=1e-5)


def test_the_same_network_gives_the_same_bytes_with_what_it_is(tmp_path: Path) -> None:
    model = random_model(tmp_path / "run", activation="leaky_relu", slope=0.25)
    content = safetensors_bytes(model)
    assert all(safetensors_bytes(model) == content for _ in range(5))
    length = int.from_bytes(content[:8], "little")
    about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["about"])
    assert about["input"] == "pixels / 255, 0 to 1"
    assert about["activation"] == "leaky_relu with the negative slope 0.25"
    assert about["checkpoint"] == "run/best.npz"
