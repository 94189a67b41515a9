"""The page to draw on, as a file: its size, how weights are rounded, and that texts stay texts."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_pages import data_of
from helpers.exports import random_model

from mlp_cli import SilentObserver, load, train
from mlp_cli.data.synthetic import draw_sample
from mlp_cli.inference.export.page.packing import LEAST_BITS, MOST_BITS, packed, rounded_rows
from mlp_cli.inference.export.page.page import LARGEST, html_bytes
from mlp_cli.inference.export.plain import plain_network
from mlp_cli.inference.model import Model

ATTACK = "</script><script>document.title = 1</script><img src=x onerror=alert(1)>"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return random_model(tmp_path / "run", hidden=(30,), shape=(28, 28))


@pytest.mark.parametrize("bits", [LEAST_BITS, 10, MOST_BITS])
def test_no_weight_is_rounded_by_more_than_half_of_its_rows_scale(bits: int) -> None:
    W = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)
    W[3], W[4] = 0, 1e-44  # a neuron that is dead, and one that weight decay has nearly killed
    q, scales = rounded_rows(W, bits)
    assert np.abs(q).max() == 2 ** (bits - 1) - 1
    error = np.abs(W - q * scales[:, np.newaxis].astype(np.float64))
    assert (error <= 0.501 * scales[:, np.newaxis] + 1e-44).all()


def test_the_packed_weights_are_scales_biases_and_bytes(model: Model) -> None:
    network = plain_network(model, white=1.0)
    content = zlib.decompress(base64.b64decode(packed(network, 12)))
    rows, weights = 40, 784 * 30 + 30 * 10
    assert len(content) == 8 * rows + 2 * weights
    scales = np.frombuffer(content, "<f4", rows)
    biases = np.frombuffer(content, "<f4", rows, 4 * rows)
    low = np.frombuffer(content, np.uint8, weights, 8 * rows)
    high = np.frombuffer(content, np.int8, weights, 8 * rows + weights)
    q, first_scales = rounded_rows(network.weights[0], 12)
    assert np.array_equal(scales[:30], first_scales)
    assert np.array_equal(biases, np.concatenate(network.biases))
    assert np.array_equal((256 * high.astype(np.int16) + low)[: 784 * 30].reshape(30, 784), q)
    assert len(zlib.decompress(base64.b64decode(packed(network, 8)))) == 8 * rows + weights


def test_a_page_of_the_usual_network_has_at_most_a_megabyte(tmp_path: Path) -> None:
    page = html_bytes(random_model(tmp_path / "run", hidden=(512, 256), shape=(28, 28)))
    assert len(page) <= LARGEST == 1_000_000
    assert data_of(page)["bits"] >= 9


@pytest.mark.long
def test_weights_are_rounded_to_as_many_bits_as_fit(tmp_path: Path, model: Model) -> None:
    small = html_bytes(model)
    assert data_of(small)["bits"] == MOST_BITS
    assert b"rounded to 16 bits" in small
    large = random_model(tmp_path / "large", hidden=(1200,), shape=(28, 28))
    assert data_of(html_bytes(large))["bits"] == LEAST_BITS


@pytest.mark.long
def test_rounding_changes_probabilities_so_little_that_only_ties_change_class(
    tmp_path: Path,
) -> None:
    config = {"data": {"dataset": "synthetic"}, "model": {"hidden": [512, 256]}}
    train(config, out=tmp_path / "run", set={"training.epochs": 1}, observer=SilentObserver())
    model, images = load(tmp_path / "run"), draw_sample(2000)
    exact, bits = model.predict_proba(images), data_of(html_bytes(model))["bits"]
    for W in model.network.weights:
        q, scales = rounded_rows(W, bits)
        W[...] = q * scales[:, np.newaxis]
    rounded = model.predict_proba(images)
    assert 0 < np.abs(rounded - exact).max() < 0.005
    others = rounded.argmax(axis=1) != exact.argmax(axis=1)
    second, first = np.sort(exact[others], axis=1)[:, -2:].T
    assert (first - second < 0.01).all()


def test_the_same_checkpoint_gives_the_same_page(model: Model) -> None:
    assert html_bytes(model) == html_bytes(model)


def test_names_with_markup_end_no_block_of_the_page(tmp_path: Path) -> None:
    folder = tmp_path / ATTACK.replace("/", "\N{DIVISION SLASH}")
    page = html_bytes(random_model(folder, data=ATTACK))
    assert page.count(b"<script") == 2
    assert page.count(b"</script>") == 2
    assert b"<img" not in page
    about = dict(data_of(page)["about"])
    assert about["Trained on"] in ATTACK  # the last part of a path
    assert "<script>" in about["Checkpoint"]
