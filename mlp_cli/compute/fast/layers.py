"""Loops over the values of a layer: errors, losses, normalisation.

The values of a neuron lie side by side, and `stride` or K elements lie from one neuron to the next.
"""

from __future__ import annotations

import math

from mlp_cli.compute.fast.activations import sigmoid
from mlp_cli.compute.fast.intrinsics import exp, jit
from mlp_cli.compute.fast.opcodes import CROSS_ENTROPY
from mlp_cli.nn.ops import EPSILON, NEW_SHARE


@jit
def output_delta(loss, z, y, delta, most, total, c, stride):
    """Write (softmax(z) − y) / K, or (a − y) ⊙ a ⊙ (1 − a) / K; `most`, `total` are scratch."""
    K, one = len(most), z.dtype.type(1)
    mean = one / z.dtype.type(K)
    if loss == CROSS_ENTROPY:
        most[:] = z[:K]
        for i in range(1, c):
            logits = z[i * stride : i * stride + K]
            for k in range(K):
                most[k] = most[k] if logits[k] <= most[k] else logits[k]
        total[:] = z.dtype.type(0)
        for i in range(c):
            logits, errors = z[i * stride : i * stride + K], delta[i * K : i * K + K]
            for k in range(K):
                errors[k] = exp(logits[k] - most[k])
                total[k] += errors[k]
    for i in range(c):
        logits, errors = z[i * stride : i * stride + K], delta[i * K : i * K + K]
        if loss == CROSS_ENTROPY:
            for k in range(K):
                errors[k] = (errors[k] / total[k] - y[k * c + i]) * mean
        else:
            for k in range(K):
                a = sigmoid(logits[k])
                errors[k] = (a - y[k * c + i]) * a * (one - a) * mean


@jit
def count_correct(loss, z, y, labels, losses, right, most, c, stride):
    """Write −Σ y log softmax(z), or ½ Σ (a − y)², and whether the largest z is at the label."""
    n, half = len(labels), z.dtype.type(0.5)
    most[:] = z[:n]
    for k in range(n):
        right[k] = labels[k] == 0
    for i in range(1, c):
        logits = z[i * stride : i * stride + n]
        for k in range(n):
            if not logits[k] <= most[k]:
                most[k] = logits[k]
                right[k] = labels[k] == i
    losses[:] = z.dtype.type(0)
    for i in range(c):
        logits = z[i * stride : i * stride + n]
        for k in range(n):
            if loss == CROSS_ENTROPY:
                losses[k] += exp(logits[k] - most[k])
            else:
                short = sigmoid(logits[k]) - y[k * c + i]
                losses[k] += half * short * short
    if loss == CROSS_ENTROPY:
        for k in range(n):
            losses[k] = math.log(losses[k])
        for i in range(c):
            logits = z[i * stride : i * stride + n]
            for k in range(n):
                losses[k] += y[k * c + i] * (most[k] - logits[k])


@jit
def normalise(z, gamma, running_mean, running_variance, hat, inverse, K):
    """Normalise each neuron over the minibatch (Ioffe and Szegedy, 2015, algorithm 1)."""
    real = z.dtype.type
    share, fresh, sample = real(1) / real(K), real(NEW_SHARE), real(K) / real(max(K - 1, 1))
    for i in range(len(gamma)):
        neuron, out = z[i * K : i * K + K], hat[i * K : i * K + K]
        # These loops store nothing. A loop that stores too first checks whether its arrays overlap,
        # so the order of a sum, and its last bits, would depend on where in memory they lie.
        mean = variance = real(0)
        for k in range(K):
            mean += neuron[k]
        mean *= share
        for k in range(K):
            variance += (neuron[k] - mean) * (neuron[k] - mean)
        variance *= share
        scale = real(1) / math.sqrt(variance + real(EPSILON))
        for k in range(K):
            out[k] = (neuron[k] - mean) * scale
            neuron[k] = gamma[i] * out[k]
        inverse[i] = scale
        running_mean[i] += fresh * (mean - running_mean[i])
        running_variance[i] += fresh * (sample * variance - running_variance[i])


@jit
def normalise_backward(delta, gamma, hat, inverse, dgamma, dbeta, K):
    """Turn ∂C/∂(γ ẑ + β) into ∂C/∂z, and write ∂C/∂γ and ∂C/∂β."""
    share = delta.dtype.type(1) / delta.dtype.type(K)
    for i in range(len(gamma)):
        errors, normed = delta[i * K : i * K + K], hat[i * K : i * K + K]
        total = product = delta.dtype.type(0)
        for k in range(K):
            total += errors[k]
            product += errors[k] * normed[k]
        dbeta[i], dgamma[i] = total, product
        scale, total, product = gamma[i] * inverse[i], total * share, product * share
        for k in range(K):
            errors[k] = scale * (errors[k] - total - normed[k] * product)
