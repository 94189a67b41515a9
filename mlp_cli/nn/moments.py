"""The means and variances of batch normalisation for inputs as evaluation sees them.

In training, a layer is normalised over its minibatch, whose inputs may have noise, dropout or
distortions. Running averages of those means and variances do not quite fit the inputs of an
evaluation, which have none. So they can be computed anew, over clean inputs (Rasmus et al., 2015;
Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021). For each hidden layer, with the rows of a
large minibatch as the inputs x = a_0:

    z = a Wᵀ    ẑ = (z − μ) / √(σ² + ε)    a = f(γ ẑ + b)    μ, σ²: over these rows

and over all minibatches, with M rows together,

    mean  Σ z / M        variance  Σ z² / M − mean²
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlp_cli.nn.buffers import Array
from mlp_cli.nn.network import Network
from mlp_cli.nn.ops import EPSILON

Moments = NDArray[np.float64]


def moments(network: Network, parameters: Array, x: Array) -> Moments:
    """Return Σ z and Σ z² (2, neurons) of all hidden layers over the rows of x (K, inputs).

    `parameters` (P,) are those of the network, or others of the same shapes.
    """
    views, a, sums = network.views(parameters), x, []
    for W, b, gamma in zip(views.weights, views.biases, views.gammas, strict=False):
        z = a @ W.T
        exact = z.astype(np.float64)
        sums.append([exact.sum(axis=0), np.square(exact).sum(axis=0)])
        z -= z.mean(axis=0)
        z *= gamma / np.sqrt(z.var(axis=0) + z.dtype.type(EPSILON))
        z += b
        kept = np.empty_like(z) if network.activation.keeps_derivative else z
        network.activation.apply(z, kept, np.empty_like(z))
        a = z
    return np.concatenate(sums, axis=1)


def statistics_of(found: Sequence[Moments], M: int, out: Array) -> None:
    """Write the means, then the variances (S,) from the moments of minibatches with M rows."""
    mean, square = np.sum(found, axis=0) / M
    out[:] = np.concatenate([mean, np.maximum(square - mean**2, 0)])
