"""Synthetic digits: the same bytes at each call, balanced, and as hard as the module says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from mlp_cli.data.synthetic import WAYS, draw_digits
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.network import Network
from mlp_cli.nn.optimizers import SGD, Optimizer

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = draw_digits()
BOTH = pytest.mark.parametrize(
    ("images", "labels", "n"),
    [(IMAGES, LABELS, 10_000), (TEST_IMAGES, TEST_LABELS, 2_000)],
    ids=["train", "test"],
)


@BOTH
def test_images_have_the_documented_shape_and_type_and_balanced_classes(
    images, labels, n: int
) -> None:
    assert images.shape == (n, 28, 28)
    assert labels.shape == (n,)
    assert images.dtype == labels.dtype == np.uint8
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, n // 10))


@BOTH
def test_the_order_of_the_classes_is_shuffled(images, labels, n: int) -> None:
    pairs = np.bincount(labels[:-1] * 10 + labels[1:], minlength=100)  # of neighbouring labels
    assert n / 400 < pairs.min()
    assert pairs.max() < n / 50


def test_each_call_returns_the_same_bytes_for_any_global_random_state() -> None:
    np.random.seed(1)
    for first, second in zip(
        (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS), draw_digits(), strict=True
    ):
        np.testing.assert_array_equal(first, second)
        assert not np.shares_memory(first, second)


def test_the_bytes_never_change() -> None:
    digest = hashlib.sha256(b"".join((IMAGES, LABELS, TEST_IMAGES, TEST_LABELS)))
    assert digest.hexdigest().startswith("4fbecbc38c058e9c")


def test_no_image_occurs_twice_in_or_across_the_sets() -> None:
    every = np.concatenate([IMAGES, TEST_IMAGES])
    assert len({image.tobytes() for image in every}) == len(every)


@BOTH
def test_digits_are_bright_on_a_black_background(images, labels, n: int) -> None:
    brightest = images.max(axis=(1, 2))
    assert brightest.min() > 100
    assert images.max() > 240
    assert ((images > 60).sum(axis=(1, 2)) > 10).all()  # more than a dot
    assert 0.05 < images.mean() / 255 < 0.2
    assert (images == 0).mean() > 0.7
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).mean() > 0.99


@BOTH
def test_few_digits_are_cut_by_the_edge(images, labels, n: int) -> None:
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    assert np.mean(np.max(edges, axis=(0, 2)) > 60) < 0.02


@BOTH
def test_digits_are_centred_on_average(images, labels, n: int) -> None:
    ink = images.sum(axis=0, dtype=float)
    for profile in (ink.sum(axis=0), ink.sum(axis=1)):
        centre = (profile * np.arange(28)).sum() / profile.sum()
        assert abs(centre - 13.5) < 1


def test_every_stroke_has_at_least_two_points_on_the_grid() -> None:
    assert len(WAYS) == 10
    for ways in WAYS:
        assert ways
        for stroke in (stroke.split() for strokes in ways for stroke in strokes):
            assert len(stroke) >= 2
            assert all(a != b for a, b in pairwise(stroke))
            assert all(len(p) == 2 and p[0] in "0123456" and p[1].isdigit() for p in stroke)


def inputs(images) -> Array:
    return ((images.reshape(len(images), -1) - IMAGES.mean()) / IMAGES.std()).astype(np.float32)


def accuracies(hidden: list[int], epochs: int) -> Iterator[float]:
    """Yield the test accuracy after each epoch of minibatch SGD on 9,000 images."""
    generator = np.random.default_rng(0)
    x, y = inputs(IMAGES[:9000]), np.eye(10, dtype=np.float32)[LABELS[:9000]]
    network = Network([784, *hidden, 10], "relu", "cross_entropy")
    network.initialise("he_normal", generator)
    step, evaluate = Backpropagation(network, 50), Backpropagation(network, len(TEST_IMAGES))
    optimizer = Optimizer(SGD(), network.parameters, step.gradient, network.weight_count)
    z, test_z = np.empty((50, 10), np.float32), np.empty((len(TEST_IMAGES), 10), np.float32)
    test_x = inputs(TEST_IMAGES)
    for _ in range(epochs):
        for t, rows in enumerate(generator.permutation(len(x)).reshape(-1, 50), 1):
            step(x[rows], y[rows], z)
            optimizer.step(optimizer.rule.factors([0.1], t)[0])
        evaluate.forward(test_x, test_z)
        yield float(np.mean(test_z.argmax(1) == TEST_LABELS))


@pytest.mark.long
def test_a_linear_classifier_stays_below_95_percent() -> None:
    assert 0.8 < max(accuracies([], 30)) < 0.95


@pytest.mark.long
def test_a_small_hidden_layer_exceeds_97_percent() -> None:
    assert any(accuracy > 0.97 for accuracy in accuracies([64], 10))
