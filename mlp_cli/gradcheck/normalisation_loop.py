"""Normalisation over a minibatch and its derivative, example by example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlp_cli.nn.buffers import Array
from mlp_cli.nn.ops import EPSILON


def normalise(z: Sequence[Array]) -> tuple[Array, Array]:
    """Return ẑ (K, m) and 1 / √(σ² + ε) (m,) of K examples z (m,)."""
    K = len(z)
    mean = sum(z) / K
    inverse: Array = 1 / np.sqrt(sum((z_k - mean) ** 2 for z_k in z) / K + EPSILON)
    return np.array([(z_k - mean) * inverse for z_k in z]), inverse


def normalise_backward(deltas: Array, hat: Array, scale: Array) -> Array:
    """Return ∂C/∂z (K, m) from ∂C/∂(γ ẑ) (K, m), ẑ (K, m) and γ / √(σ² + ε) (m,).

    ∂ẑ_j/∂z_k = (1[j = k] − 1/K − ẑ_j ẑ_k / K) / √(σ² + ε)
    """
    K = len(hat)
    spread = [[(j == k) - 1 / K - hat[j] * hat[k] / K for j in range(K)] for k in range(K)]
    return np.array([sum(deltas * np.array(row)) * scale for row in spread])
