"""NumPy's operations one by one, and NumPy's warnings about overflow."""

from __future__ import annotations

import numpy as np
import pytest

from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.nn.buffers import Field, Warp
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.ops import NUMPY, Ops


def test_images_are_scaled_and_shifted_when_they_are_read() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(4, 3)
    x, pixels = np.empty((2, 3)), np.empty((2, 3), np.uint8)
    for scale, shift in ((0.5, 0.0), (0.5, 1.0), (2.0, np.array([0.0, 0.0, 3.0]))):
        scale, shift = np.asarray(scale), np.asarray(shift)
        NUMPY.read_images(images, np.array([3, 1]), np.array([0]), x, scale, shift, pixels)
        np.testing.assert_array_equal(x, images[[3, 1]] * scale - shift)


def test_look_up_reads_labels_and_their_targets() -> None:
    labels, one_hot = np.array([2, 0, 1], np.uint8), np.eye(3)
    found, y, wide = np.empty(2, np.uint8), np.empty((2, 3)), np.empty(2, np.int64)
    NUMPY.look_up(labels, np.array([2, 0]), found, one_hot, y, wide)
    assert found.tolist() == [1, 2]
    np.testing.assert_array_equal(y, one_hot[[1, 2]])


@pytest.mark.parametrize("name", LOSSES)
def test_count_correct_writes_each_loss_and_whether_the_answer_is_right(name: str) -> None:
    z = np.array([[1.0, 2.0, 0.0], [3.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    labels = np.array([1, 0, 1], np.uint8)  # right; right, as the first of a tie counts; wrong
    losses, right = np.full(3, np.nan), np.zeros(3, np.bool_)
    NUMPY.count_correct(LOSSES[name], z, np.eye(3)[labels], labels, losses, right, np.empty(3))
    assert right.tolist() == [True, True, False]
    np.testing.assert_array_equal(losses, LOSSES[name].values(z, np.eye(3)[labels]))


def test_the_buffers_of_distortions_have_the_type_of_the_images() -> None:
    field, warp = (kind.of(2, (3, 5), np.dtype("float32")) for kind in (Field, Warp))
    arrays = [field.noise, field.s, warp.grid, warp.padded, *warp.places, *warp.taps]
    assert {array.dtype for array in arrays} == {np.dtype("float32")}
    assert field.places.shape == (3, 4, 2)  # eight numbers for five pixels


def test_the_kernels_do_not_warn_of_overflow() -> None:
    # In this suite a warning is an error.
    ends, large = np.array([1e300, np.inf, 0.0]), np.array([1e300, 0.0, 1.0])

    def program(ops: Ops, worker: int) -> None:
        ops.multiply(ends, large, np.empty(3))  # too large, and 0 · ∞
        ops.limit_norms(np.zeros((1, 3)), 0.0, np.empty(1))  # 0 / 0

    NumPyKernels().prepare(program, ThreadTeam(1), np.dtype("float64"))()
