"""Networks as ONNX: ONNX Runtime gives the network's own answers, and is asked before writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.exports import KINDS, SHAPES, name, random_model

from mlp_cli import SilentObserver, train
from mlp_cli.errors import CheckpointError
from mlp_cli.inference.export import checking, onnx_model
from mlp_cli.inference.export.checking import check, drawn_images
from mlp_cli.inference.export.formats import write_export
from mlp_cli.inference.export.onnx_model import onnx_bytes, run_onnx

onnx = pytest.importorskip("onnx", reason="needs the extra `onnx`")
runtime = pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")


def session(content: bytes) -> object:
    return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", [*KINDS, *SHAPES], ids=name)
def test_onnx_runtime_gives_the_answers_of_the_network(
    kind: dict[str, object], tmp_path: Path
) -> None:
    model = random_model(tmp_path / "run", **kind)
    content = onnx_bytes(model)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    images = drawn_images(model.image_shape)
    logits, probabilities = session(content).run(None, {"pixels": images})
    np.testing.assert_array_equal(logits.argmax(axis=1), model.predict(images))
    np.testing.assert_allclose(probabilities, model.predict_proba(images), rtol=0, atol=1e-5)
    expected = np.log(model.predict_proba(images)) if kind.get("loss") != "mse" else None
    if expected is not None:  # the logits are z, of which the softmax does not know the sum
        differences = logits - logits[:, :1] - (expected - expected[:, :1])
        assert np.abs(differences).max() < 1e-3


def test_any_number_of_images_is_taken(tmp_path: Path) -> None:
    model = random_model(tmp_path / "run")
    run = session(onnx_bytes(model)).run
    images = drawn_images(model.image_shape)[:7]
    for n in (0, 1, 7):
        logits, probabilities = run(["logits", "probabilities"], {"pixels": images[:n]})
        assert logits.shape == probabilities.shape == (n, 10)
        np.testing.assert_allclose(probabilities, model.predict_proba(images[:n]), atol=1e-5)


def test_logits_too_large_for_five_digits_are_exported_all_the_same(tmp_path: Path) -> None:
    model = random_model(tmp_path / "run")
    model.network.weights[-1][:] *= 30_000
    agreement = check(model, onnx_bytes(model), run_onnx, tmp_path)
    assert 1e-5 < agreement.difference < 1e-2


def test_the_file_says_what_it_is_and_where_it_comes_from(tmp_path: Path) -> None:
    model = random_model(tmp_path / "a run", data="/secret/folder/my\n\x1bdigits")
    made = onnx.load_from_string(onnx_bytes(model))
    assert (made.producer_name, made.ir_version) == ("mlp-cli", onnx_model.IR_VERSION)
    assert [(each.domain, each.version) for each in made.opset_import] == [("", onnx_model.OPSET)]
    about = {each.key: each.value for each in made.metadata_props}
    assert about["checkpoint"] == "a run/best.npz"
    assert about["data"] == r"my\n\x1bdigits"
    assert about["layers"] == "132-12-9-10"
    (pixels,) = made.graph.input
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [each.dim_value or each.dim_param for each in pixels.type.tensor_type.shape.dim] == [
        "images",
        12,
        11,
    ]
    assert onnx_bytes(model) == onnx_bytes(model)


def test_a_file_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = (random_model(tmp_path / f"run-{seed}", seed=seed) for seed in (0, 1))
    with pytest.raises(CheckpointError, match="gives other probabilities than the network"):
        check(model, onnx_bytes(other), run_onnx, tmp_path)
    monkeypatch.setitem(onnx_model.OPERATORS, "relu", "Tanh")
    with pytest.raises(CheckpointError, match="so it is not written"):
        write_export(model, tmp_path / "net.onnx", tmp_path)
    assert not list(tmp_path.glob("*net.onnx*"))


def test_the_training_images_are_compared_if_they_are_there(
    tmp_path: Path, quick_config: Path
) -> None:
    model = train(quick_config, out=tmp_path / "run", observer=SilentObserver()).model()
    both = check(model, onnx_bytes(model), run_onnx, tmp_path)
    assert (both.drawn, both.real) == (1000, 150)  # 50 of 200 are held out
    assert str(both).startswith("checked: on 1,000 drawn and 150 training images, probabilities ")
    Path(model.data.name, "train-images-idx3-ubyte").unlink()
    alone = check(model, onnx_bytes(model), run_onnx, tmp_path)
    assert (alone.drawn, alone.real) == (1000, 0)
    assert str(alone).startswith("checked: on 1,000 drawn images, probabilities ")


def test_images_on_which_only_some_answers_differ_are_noticed(
    tmp_path: Path, quick_config: Path
) -> None:
    model = train(quick_config, out=tmp_path / "run", observer=SilentObserver()).model()

    def wrong_at_the_last(content: bytes, images: np.ndarray) -> np.ndarray:
        probabilities = run_onnx(content, images)
        probabilities[-1] += 2e-5
        return probabilities

    with pytest.raises(CheckpointError, match=r"by up to 2\.0e-05, so it is not written"):
        check(model, onnx_bytes(model), wrong_at_the_last, tmp_path)


def test_fewer_images_are_compared_if_they_are_large(
    tmp_path: Path, quick_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = train(quick_config, out=tmp_path / "run", observer=SilentObserver()).model()
    for bytes_, most in ((7 * 64, 7), (1, 1)):
        monkeypatch.setattr(checking, "LARGEST", bytes_)
        agreement = check(model, onnx_bytes(model), run_onnx, tmp_path)
        assert (agreement.drawn, agreement.real) == (most, most)


def test_weights_that_the_format_cannot_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(tmp_path / "run")
    monkeypatch.setattr(onnx_model, "LARGEST", 100)
    with pytest.raises(CheckpointError, match=r"more than the 2 GiB that an \.onnx file may have"):
        onnx_bytes(model)
