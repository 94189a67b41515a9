"""The gradient of a decoder by single examples, each by outer products.

The names are those of `nn.decoder`. Every line is about one example k, except in normalisation,
whose mean and variance are those of all K.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlp_cli.gradcheck.normalisation_loop import normalise, normalise_backward
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.decoder import Decoder
from mlp_cli.nn.decoder_ops import HALF
from mlp_cli.nn.network import Network, Views


def add_decoder_gradient(
    network: Network, decoder: Decoder, laterals: Sequence[Sequence[Array]], gradient: Views
) -> list[Array]:
    """Add ∂D/∂V and ∂D/∂A to the views of a gradient; return ∂D/∂t (K, n) of every layer.

    `laterals` are x̃ and every z, a list of the K examples for each layer, from the inputs to the
    last.
    """
    _, _, _, V, A = network.parameter_views
    K, last = len(decoder.target), len(V)
    hats: list[Array] = []
    inverses: list[Array] = []
    q = [*laterals[last]]
    reconstructed = [q]
    for layer in range(last - 1, -1, -1):
        hat, inverse = normalise([V[layer] @ q_k for q_k in q])
        q = [_combine(A[layer], t, u) for t, u in zip(laterals[layer], hat, strict=True)]
        hats.insert(0, hat)
        inverses.insert(0, inverse)
        reconstructed.insert(0, q)
    errors = []
    size = decoder.target.size
    deltas = np.array(
        [2 * decoder.weight / size * (q_k - x) for q_k, x in zip(q, decoder.target, strict=True)]
    )
    for layer in range(last):
        of_t, of_u = np.zeros_like(deltas), np.zeros_like(deltas)
        for k in range(K):
            t, u, delta = laterals[layer][k], hats[layer][k], deltas[k]
            of_t[k], of_u[k], of_A = _combine_backward(A[layer], t, u, delta)
            gradient.combinators[layer][...] += of_A
        deltas = normalise_backward(of_u, hats[layer], inverses[layer])
        for delta, q_k in zip(deltas, reconstructed[layer + 1], strict=True):
            gradient.decoder_weights[layer][...] += np.outer(delta, q_k)
        deltas = np.array([V[layer].T @ delta for delta in deltas])
        errors.append(of_t)
    return [*errors, deltas]


def _combine(A: Array, t: Array, u: Array) -> Array:
    mean, v = (_curve(a, u) for a in (A[:, :HALF].T, A[:, HALF:].T))
    q: Array = v * t + (1 - v) * mean
    return q


def _combine_backward(A: Array, t: Array, u: Array, delta: Array) -> tuple[Array, Array, Array]:
    """Return the derivatives by t (n,), by u (n,) and by A (n, `CONSTANTS`)."""
    mean, v = (_curve(a, u) for a in (A[:, :HALF].T, A[:, HALF:].T))
    of_u, of_A = np.zeros_like(u), np.zeros_like(A)
    for half, error in ((slice(HALF), delta * (1 - v)), (slice(HALF, None), delta * (t - mean))):
        a = A[:, half].T
        sigma = 1 / (1 + np.exp(-(a[1] * u + a[2])))
        slope = sigma * (1 - sigma)
        of_u += error * (a[0] * slope * a[1] + a[3])
        of_A[:, half].T[...] = [
            error * sigma,
            error * a[0] * slope * u,
            error * a[0] * slope,
            error * u,
            error,
        ]
    return delta * v, of_u, of_A


def _curve(a: Array, u: Array) -> Array:
    curve: Array = a[0] / (1 + np.exp(-(a[1] * u + a[2]))) + a[3] * u + a[4]
    return curve
