"""NumPy's kernels note the calls of a program once, and repeat them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import NUMPY, Ops

FLOAT64 = np.dtype("float64")


def test_preparing_a_program_does_nothing_yet_and_each_run_repeats_it() -> None:
    a = np.full(3, 2.0)
    calls = []

    def program(ops: Ops, worker: int) -> None:
        calls.append(worker)
        ops.multiply(a, a, a)

    run = NumPyKernels().prepare(program, ThreadTeam(1), FLOAT64)
    assert calls == [0]
    assert a.tolist() == [2.0] * 3
    for square in (4.0, 16.0):
        run()
        assert a.tolist() == [square] * 3
    assert calls == [0]


@pytest.mark.parametrize("rows_first", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_product_is_right_for_each_layout_of_its_result(rows_first: bool, whole: bool) -> None:
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(5, 7)), generator.normal(size=(7, 4))
    order: Literal["C", "F"] = "C" if rows_first else "F"
    out = np.zeros((5, 4), order=order) if whole else np.zeros((10, 8), order=order)[::2, ::2]

    def program(ops: Ops, worker: int) -> None:
        ops.product(left, right, out)

    NumPyKernels().prepare(program, ThreadTeam(1), FLOAT64)()
    np.testing.assert_allclose(out, np.einsum("mk,kn->mn", left, right), rtol=1e-12)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_noted_passes_give_what_the_operations_give_when_they_are_called(
    loss: str, workers: int
) -> None:
    generator = np.random.default_rng(1)
    network = Network([12, 9, 8, 3], "tanh", loss, "float64")
    network.initialise("nielsen", generator)
    x, y = generator.normal(size=(10, 12)), np.eye(3)[generator.integers(3, size=10)]
    expected, passes = Backpropagation(network, 10), Backpropagation(network, 10, workers=workers)
    z = [np.empty((3, 10)).T for _ in range(workers)]
    expected(x, y, z[0], ops=NUMPY)

    def program(ops: Ops, worker: int) -> None:
        passes(x, y, z[worker], worker, ops)

    team = ThreadTeam(workers)
    NumPyKernels().prepare(program, team, FLOAT64)()
    np.testing.assert_allclose(passes.gradient, expected.gradient, rtol=1e-10, atol=1e-14)
    assert np.abs(expected.gradient).min() > 0
