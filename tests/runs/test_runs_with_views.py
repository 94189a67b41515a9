"""Runs whose networks see views of an image: training, resuming, scoring, exports and reports."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import assert_same_run

from mlp_cli import SilentObserver, check_gradient, evaluate, load, load_config, train
from mlp_cli.compute.engine import numpy_engine
from mlp_cli.data.dataset import load_dataset
from mlp_cli.data.views import build_views
from mlp_cli.errors import ConfigError
from mlp_cli.inference.export.formats import FORMATS, write_export
from mlp_cli.nn.ops import NUMPY
from mlp_cli.nn.views import ViewBuffer
from mlp_cli.reports.figures import seen_images
from mlp_cli.training.build import build_trainer

VIEWS = ["raw", "upright", "width-12"]
DISTORTED = {"distortion.rotation": 10, "distortion.shift": 1}


def trained(out: Path, config: Path, **changes: Any) -> Path:
    set_ = {"data.views": VIEWS, **changes}
    train(config, out=out, set=set_, kernels="numpy", observer=SilentObserver())
    return out


def logits(run: Path, images: np.ndarray) -> np.ndarray:
    """Return what the network of a run without batch normalisation computes, by hand."""
    model = load(run)
    views = build_views(model.config.data.views, model.image_shape)
    source = images.reshape(len(images), -1).astype(np.float32)
    a = source / np.float32(255)
    if views is not None:
        inputs = a.shape[1] * len(views.views)
        a = np.empty((len(images), inputs), np.float32)
        scale, shift = np.full(inputs, 1 / 255, np.float32), np.zeros(inputs, np.float32)
        buffer = ViewBuffer.of(len(images), views.shape, a.dtype)
        pixels = source.astype(np.uint8)
        NUMPY.make_views(views.views, pixels, source, a, scale, shift, buffer)
    *hidden, (W, b) = zip(model.network.weights, model.network.biases, strict=True)
    for W_l, b_l in hidden:
        a = np.maximum(a @ W_l.T + b_l, 0)
    return a @ W.T + b


def test_a_run_with_views_learns_and_every_way_to_ask_it_says_the_same(
    config: Path, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", config, **DISTORTED, **{"training.epochs": 5})
    model, found = load(run), evaluate([run], split="test")
    assert model.network.sizes == (3 * 64, 16, 10)
    result = json.loads((run / "result.json").read_text())
    assert found.errors == result["test_errors"] < 0.2 * len(found.labels)
    images = found.source.images
    expected = logits(run, images)
    np.testing.assert_array_equal(found.predictions, expected.argmax(axis=1))
    np.testing.assert_array_equal(model.predict(images.reshape(-1, 8, 8)), found.predictions)
    likely = np.exp(expected - np.logaddexp.reduce(expected, axis=1, keepdims=True))
    np.testing.assert_allclose(model.predict_proba(images), likely, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(images[:1]), likely[:1], atol=1e-5)


def test_the_members_of_a_committee_see_their_own_views(config: Path, tmp_path: Path) -> None:
    runs = [
        trained(tmp_path / str(number), config, **{"data.views": views, "training.epochs": 1})
        for number, views in enumerate((["raw"], VIEWS, ["width-16"]))
    ]
    found = evaluate(runs, split="test")
    votes = [logits(run, found.source.images) for run in runs]
    log_p = np.mean([z - np.logaddexp.reduce(z, axis=1, keepdims=True) for z in votes], axis=0)
    np.testing.assert_array_equal(found.predictions, log_p.argmax(axis=1))


def test_a_resumed_run_with_views_ends_with_the_same_bits(config: Path, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", config, **DISTORTED, **{"training.epochs": 2})
    run = trained(tmp_path / "run", config, **DISTORTED, **{"training.epochs": 1})
    changes = {"data.views": VIEWS, **DISTORTED, "training.epochs": 2}
    train(config, out=run, set=changes, resume=True, kernels="numpy", observer=SilentObserver())
    assert_same_run(whole, run)
    with pytest.raises(ConfigError, match=r"differs from the run's in data\.views"):
        train(config, out=run, set={**changes, "data.views": VIEWS[:2]}, resume=True)


def test_raw_alone_trains_to_the_same_bits_as_no_views(config: Path, tmp_path: Path) -> None:
    one = trained(tmp_path / "one", config, **{"data.views": ["raw"]})
    train(config, out=tmp_path / "other", kernels="numpy", observer=SilentObserver())
    assert_same_run(one, tmp_path / "other")


def test_the_gradient_of_a_network_with_views_is_right() -> None:
    changes = {"data.views": VIEWS, "model.hidden": [6], "training.batch_size": 5}
    check = check_gradient(load_config({}, set=changes), kernels="numpy")
    assert check.layers[0].a == (5, 3 * 784)
    assert not check.wrong


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_export_holds_the_weights_for_views_or_is_refused(
    suffix: str, config: Path, tmp_path: Path
) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="needs the extra `safetensors`")
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    run = trained(tmp_path / "run", config, **{"training.epochs": 1})
    file, model = tmp_path / f"net{suffix}", load(run)
    if suffix in (".onnx", ".html", ".c"):
        with pytest.raises(ConfigError, match=r"data\.views .* Only \.safetensors and \.npz can"):
            write_export(model, file, tmp_path)
        assert not file.exists()
        return
    write_export(model, file, tmp_path)
    words = "pixels of the views raw, upright, width-12, one view after the other"
    assert words.encode() in file.read_bytes()
    if suffix == ".npz":
        arrays = np.load(io.BytesIO(file.read_bytes()))
        np.testing.assert_allclose(
            arrays["layers.0.weight"] * 255, model.network.weights[0], rtol=1e-6
        )


def test_seen_images_have_their_views_side_by_side(config: Path, tmp_path: Path) -> None:
    changes = {"data.views": VIEWS, "data.scaling": "standard", **DISTORTED}
    loaded = load_config(config, set=changes)
    dataset = load_dataset(loaded, tmp_path)
    seen = seen_images(loaded, dataset, epochs=2, most=3)
    assert seen.originals.shape == (3, 8, 8)
    assert seen.images.shape == (3, 2, 8, 24)
    plain = load_config(loaded, set={"data.views": ["raw"]})
    raw = seen_images(plain, dataset, epochs=2, most=3)
    np.testing.assert_allclose(seen.images[..., :8], raw.images, atol=1e-6)
    assert np.abs(seen.images[..., 8:16] - raw.images).max() > 0.1


def test_standard_scaling_is_that_of_the_raw_pixels(config: Path, tmp_path: Path) -> None:
    found = []
    for views in (["raw"], ["width-8", "upright"]):
        loaded = load_config(config, set={"data.views": views, "data.scaling": "standard"})
        trainer = build_trainer(loaded, load_dataset(loaded, tmp_path), numpy_engine())
        found.append(trainer.scaling[:2])
    assert found[0] == found[1]


@pytest.mark.long
def test_commands_take_a_network_with_views(
    config: Path, tmp_path: Path, mlp: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs the extra `images`")
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    pytest.importorskip("jinja2", reason="needs the extra `report`")
    views = "data.views=[raw, upright]"
    done = mlp("train", config, "--out", "run", "--quiet", "--set", views)
    assert (done.returncode, done.stderr) == (0, "")
    pixels = evaluate([tmp_path / "run"], split="test").source.images[0].reshape(8, 8)
    image.fromarray(pixels).save(tmp_path / "a.png")
    done = mlp("predict", "run", "a.png", "--raw", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(load(tmp_path / "run").predict(pixels[np.newaxis])[0]) in json.dumps(answer)
    for command in (
        ("report", "run", "--out", "page.html"),
        ("config", "preview", config, "preview.png", "--set", views),
    ):
        done = mlp(*command)
        assert (done.returncode, done.stderr) == (0, ""), command
    page = (tmp_path / "page.html").read_text()
    assert "Images as the network saw them" in page
    done = mlp("export", "run", "net.c")
    assert done.returncode == 2 and "data.views ['raw', 'upright']" in done.stderr
