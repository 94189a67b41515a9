"""Loops of a decoder (`nn.decoder_ops` says what they compute).

The K values of a neuron lie side by side, and its ten constants too. Some of the arrays are given
by their addresses in memory; `like` is an array of the type of the parameters.
"""

from __future__ import annotations

import numba

from mlp_cli.compute.fast.activations import sigmoid
from mlp_cli.compute.fast.intrinsics import jit, pointer
from mlp_cli.nn.decoder_ops import CONSTANTS, HALF

BLOCK = 16  # rows and columns: their cache lines stay near while a block is transposed


@jit
def transpose(like, x, x_leading, out, out_leading, K, n):
    """Copy x (K, n) to `out` (n, K), block by block."""
    if K == 0 or n == 0:
        return
    x = numba.carray(pointer(x), (K - 1) * x_leading + n, like.dtype)
    out = numba.carray(pointer(out), (n - 1) * out_leading + K, like.dtype)
    for first in range(0, K, BLOCK):
        last = min(first + BLOCK, K)
        for start in range(0, n, BLOCK):
            for j in range(start, min(start + BLOCK, n)):
                for k in range(first, last):
                    out[j * out_leading + k] = x[k * x_leading + j]


@jit
def add_bias(z, b, out, K):
    """Write z + b."""
    for i in range(len(b)):
        for k in range(i * K, i * K + K):
            out[k] = z[k] + b[i]


@jit
def difference(q, x, out, factor):
    """Write q − x, times a factor."""
    scale = q.dtype.type(factor)
    for k in range(len(out)):
        out[k] = (q[k] - x[k]) * scale


@jit
def combine(like, A, t, u, q, K, n):
    """Write q = (t − μ) v + μ."""
    A = numba.carray(pointer(A), n * CONSTANTS, like.dtype)
    t = numba.carray(pointer(t), n * K, like.dtype)
    u = numba.carray(pointer(u), n * K, like.dtype)
    q = numba.carray(pointer(q), n * K, like.dtype)
    for i in range(n):
        a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = _constants(A, i)
        for k in range(i * K, i * K + K):
            mean = a1 * sigmoid(a2 * u[k] + a3) + a4 * u[k] + a5
            v = a6 * sigmoid(a7 * u[k] + a8) + a9 * u[k] + a10
            q[k] = (t[k] - mean) * v + mean


@jit
def combine_backward(like, A, t, u, delta, delta_u, dA, s, K, n):
    """Turn ∂C/∂q into ∂C/∂t, and write ∂C/∂u and ∂C/∂A; s (4, K) is scratch."""
    one = like.dtype.type(1)
    A = numba.carray(pointer(A), n * CONSTANTS, like.dtype)
    t = numba.carray(pointer(t), n * K, like.dtype)
    u = numba.carray(pointer(u), n * K, like.dtype)
    delta = numba.carray(pointer(delta), n * K, like.dtype)
    delta_u = numba.carray(pointer(delta_u), n * K, like.dtype)
    dA = numba.carray(pointer(dA), n * CONSTANTS, like.dtype)
    s = numba.carray(pointer(s), 4 * K, like.dtype)
    of_mean, of_v, mean_sigma, v_sigma = s[:K], s[K : 2 * K], s[2 * K : 3 * K], s[3 * K : 4 * K]
    for i in range(n):
        a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = _constants(A, i)
        t_i, u_i = t[i * K : i * K + K], u[i * K : i * K + K]
        errors, u_errors = delta[i * K : i * K + K], delta_u[i * K : i * K + K]
        for k in range(K):
            mean_sigma[k] = sigmoid(a2 * u_i[k] + a3)
            v_sigma[k] = sigmoid(a7 * u_i[k] + a8)
            mean = a1 * mean_sigma[k] + a4 * u_i[k] + a5
            v = a6 * v_sigma[k] + a9 * u_i[k] + a10
            of_mean[k] = errors[k] * (one - v)
            of_v[k] = errors[k] * (t_i[k] - mean)
            errors[k] *= v
            u_errors[k] = of_mean[k] * (a1 * mean_sigma[k] * (one - mean_sigma[k]) * a2 + a4)
            u_errors[k] += of_v[k] * (a6 * v_sigma[k] * (one - v_sigma[k]) * a7 + a9)
        dA_i = dA[i * CONSTANTS : i * CONSTANTS + CONSTANTS]
        _sum_curve(of_mean, mean_sigma, u_i, a1, dA_i[:HALF])
        _sum_curve(of_v, v_sigma, u_i, a6, dA_i[HALF:])


@jit
def _sum_curve(errors, sigma, u, height, da):
    """Write ∂C/∂a of a curve of one neuron, from ∂C by the curve: five sums over k."""
    one = errors.dtype.type(1)
    d1 = d2 = d3 = d4 = d5 = errors.dtype.type(0)
    for k in range(len(errors)):  # it stores nothing: `layers.normalise` says why
        bent = errors[k] * height * sigma[k] * (one - sigma[k])
        d1 += errors[k] * sigma[k]
        d2 += bent * u[k]
        d3 += bent
        d4 += errors[k] * u[k]
        d5 += errors[k]
    da[0], da[1], da[2], da[3], da[4] = d1, d2, d3, d4, d5


@jit
def _constants(A, i):
    """Return the ten constants of neuron i."""
    a = A[i * CONSTANTS : i * CONSTANTS + CONSTANTS]
    return a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]
