"""The compiled activations: one program serves all slopes, and what is kept has its own memory."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from helpers.networks import kept_for

from mlp_cli.compute.fast import FastKernels
from mlp_cli.compute.fast.activations import COMPILED
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.nn.activations import ACTIVATIONS, Activation, leaky_relu
from mlp_cli.nn.buffers import columns_first
from mlp_cli.nn.ops import Ops


def run(f: Activation, z: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return f(z + b) and f′(z + b) as compiled code computes them; z (K, m) is overwritten."""
    delta, kept = np.ones_like(z), kept_for(f, z)

    def program(ops: Ops, worker: int) -> None:
        ops.activate(f, z, b, kept, z)
        ops.multiply_by_derivative(f, delta, kept, z)

    FastKernels().prepare(program, ThreadTeam(1), z.dtype)()
    return z, delta


def test_a_slope_is_a_constant_of_the_program_and_not_of_the_compiled_code() -> None:
    numbers = np.array([[-2.0, 3.0], [-0.5, -4.0]])
    for slope in (0.0, 0.01, 0.25):
        z = columns_first(2, 2, np.dtype("float64"))
        z[...] = numbers
        a, derivative = run(leaky_relu(slope), z, np.zeros(2))
        np.testing.assert_array_equal(a, np.where(numbers > 0, numbers, slope * numbers))
        np.testing.assert_array_equal(derivative, np.where(numbers > 0, 1, slope))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_compiled_with_the_interface_that_numpy_has(name: str) -> None:
    assert (COMPILED[name].slope is None) == ACTIVATIONS[name].keeps_derivative


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["softplus", "silu", "gelu"])
def test_a_dense_grid_agrees_within_rounding(name: str, dtype: str) -> None:
    z = columns_first(1001, 3, np.dtype(dtype))
    z[...] = np.linspace(-40, 40, 3003).reshape(1001, 3)
    b = np.array([0.0, 1e-3, -1.0], dtype)
    f, expected, slopes = ACTIVATIONS[name], z + b, np.ones_like(z)
    kept = kept_for(f, expected)
    f.apply(expected, kept, np.empty_like(z))
    f.backward(slopes, kept, np.empty_like(z))
    a, derivative = run(f, z, b)
    unit = np.finfo(dtype).eps
    np.testing.assert_allclose(a, expected, rtol=8 * unit, atol=8 * unit)
    np.testing.assert_allclose(derivative, slopes, rtol=0, atol=32 * unit)
