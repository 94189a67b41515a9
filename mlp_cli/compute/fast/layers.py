"""Loops over a layer's values: activations, errors, losses, normalisation.

Values of a layer lie neuron by neuron, `stride` or K elements from one neuron's to the next's.
"""

from __future__ import annotations

import math
from typing import Any

from mlp_cli.compute.fast.intrinsics import exp, jit
from mlp_cli.compute.fast.opcodes import (
    CROSS_ENTROPY,
    ELU,
    IDENTITY,
    LEAKY_RELU,
    RELU,
    SCALED_TANH,
    SIGMOID,
    TANH,
)
from mlp_cli.nn.activations import LEAK, TANH_HEIGHT, TANH_SLOPE
from mlp_cli.nn.ops import EPSILON, FRESH


@jit
def _sigmoid(z):
    one = type(z)(1)
    return one / (one + exp(-z))


@jit
def _tanh(z):
    one, two = type(z)(1), type(z)(2)
    return one - two / (one + exp(two * z))


# a = f(z). Where z is no number, neither is a: comparisons are put so that it passes.
_VALUES = {
    RELU: jit(lambda z: type(z)(0) if z < type(z)(0) else z),
    LEAKY_RELU: jit(lambda z: z * type(z)(LEAK) if z < type(z)(0) else z),
    ELU: jit(lambda z: exp(z) - type(z)(1) if z < type(z)(0) else z),
    TANH: _tanh,
    SCALED_TANH: jit(lambda z: type(z)(TANH_HEIGHT) * _tanh(type(z)(TANH_SLOPE) * z)),
    SIGMOID: _sigmoid,
    IDENTITY: jit(lambda z: z),
}


@jit
def _step(a, below):
    if a > type(a)(0):
        return type(a)(1)
    return type(a)(below) if a <= type(a)(0) else a


# f′(z), from a
_SLOPES = {
    RELU: jit(lambda a: _step(a, 0)),
    LEAKY_RELU: jit(lambda a: _step(a, LEAK)),
    ELU: jit(lambda a: type(a)(1) if a > type(a)(0) else a + type(a)(1)),
    TANH: jit(lambda a: type(a)(1) - a * a),
    SCALED_TANH: jit(
        lambda a: (type(a)(TANH_HEIGHT**2) - a * a) * type(a)(TANH_SLOPE / TANH_HEIGHT),
    ),
    SIGMOID: jit(lambda a: a * (type(a)(1) - a)),
}


def _activation(f: Any) -> Any:
    @jit
    def activate(z, b, K, stride):
        for i in range(len(b)):
            neuron, bias = z[i * stride : i * stride + K], b[i]
            for k in range(K):
                neuron[k] = f(neuron[k] + bias)

    return activate


def _derivative(slope: Any) -> Any:
    @jit
    def derive(delta, a):
        for i in range(len(delta)):
            delta[i] *= slope(a[i])

    return derive


(
    _activate_relu,
    _activate_leaky_relu,
    _activate_elu,
    _activate_tanh,
    _activate_scaled_tanh,
    _activate_sigmoid,
    _activate_identity,
) = (_activation(f) for f in _VALUES.values())
(
    _derive_relu,
    _derive_leaky_relu,
    _derive_elu,
    _derive_tanh,
    _derive_scaled_tanh,
    _derive_sigmoid,
) = (_derivative(slope) for slope in _SLOPES.values())


@jit
def activate(f, z, b, K, stride):
    """Turn z into f(z + b), f by its number."""
    if f == RELU:
        _activate_relu(z, b, K, stride)
    elif f == LEAKY_RELU:
        _activate_leaky_relu(z, b, K, stride)
    elif f == ELU:
        _activate_elu(z, b, K, stride)
    elif f == TANH:
        _activate_tanh(z, b, K, stride)
    elif f == SCALED_TANH:
        _activate_scaled_tanh(z, b, K, stride)
    elif f == SIGMOID:
        _activate_sigmoid(z, b, K, stride)
    else:
        _activate_identity(z, b, K, stride)


@jit
def derive(f, delta, a):
    """Turn δ into δ ⊙ f′(z), from a = f(z)."""
    if f == RELU:
        _derive_relu(delta, a)
    elif f == LEAKY_RELU:
        _derive_leaky_relu(delta, a)
    elif f == ELU:
        _derive_elu(delta, a)
    elif f == TANH:
        _derive_tanh(delta, a)
    elif f == SCALED_TANH:
        _derive_scaled_tanh(delta, a)
    elif f == SIGMOID:
        _derive_sigmoid(delta, a)


@jit
def error(loss, z, y, delta, most, total, c, stride):
    """δ_L = (softmax(z) − y) / K, or (a − y) ⊙ a ⊙ (1 − a) / K; `most` and `total` are scratch."""
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
                a = _sigmoid(logits[k])
                errors[k] = (a - y[k * c + i]) * a * (one - a) * mean


@jit
def count(loss, z, y, labels, losses, right, most, c, stride):
    """−Σ y log softmax(z), or ½ Σ (a − y)², for each example; and whether z is largest there."""
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
                short = _sigmoid(logits[k]) - y[k * c + i]
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
    share, fresh, sample = real(1) / real(K), real(FRESH), real(K) / real(max(K - 1, 1))
    for i in range(len(gamma)):
        neuron, out = z[i * K : i * K + K], hat[i * K : i * K + K]
        # The sums store nothing: a loop that also does takes its order from where its arrays lie,
        # since it is checked first whether they overlap, and so would the last bits.
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
def unnormalise(delta, gamma, hat, inverse, dgamma, dbeta, K):
    """Turn ∂C of the normalised values into ∂C/∂z, and sum those of γ and β."""
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
