"""Loops over parameters: the update rules, the clipping of gradients, the limit on norms."""

from __future__ import annotations

import math

from mlp_cli.compute.fast.intrinsics import jit, stay_apart
from mlp_cli.compute.fast.opcodes import ADAMW, MOMENTUM, NESTEROV, RMSPROP, SGD


@jit
def limit_norms(W, m, limit):
    """Scale each row of W (m, n) down to the norm `limit`."""
    n = len(W) // m
    for i in range(m):
        row = W[i * n : i * n + n]
        total = W.dtype.type(0)
        for j in range(n):
            total += row[j] * row[j]
        norm = math.sqrt(total)
        if norm > limit:
            factor = W.dtype.type(limit) / norm
            for j in range(n):
                row[j] *= factor


@jit
def sum_squares(g):
    """Return Σ g²."""
    total = 0.0
    for i in range(len(g)):
        total += g[i] * g[i]
    return total


@jit
def clip(g, limit, squares):
    """Clip a piece of the gradient, by the norm of the whole gradient from all `squares`."""
    norm = math.sqrt(squares.sum())
    if limit < norm < math.inf:
        factor = g.dtype.type(limit / norm)
        for i in range(len(g)):
            g[i] *= factor


@jit
def _descend(p, g, rate, decay):
    for i in range(len(p)):
        p[i] -= rate * (g[i] + decay * p[i])


@jit
def _momentum(p, g, v, rate, decay, mu, nesterov):
    # v ← μ v + g; p ← p − η v, or with Nesterov p − η (g + μ v)
    keep, look = (mu, g.dtype.type(1)) if nesterov else (g.dtype.type(1), g.dtype.type(0))
    for i in range(len(p)):
        gradient = g[i] + decay * p[i]
        velocity = mu * v[i] + gradient
        v[i] = velocity
        p[i] -= rate * (keep * velocity + look * gradient)


@jit
def _rmsprop(p, g, v, rate, decay, rho, epsilon):
    rest = g.dtype.type(1) - rho
    for i in range(len(p)):
        gradient = g[i] + decay * p[i]
        square = rho * v[i] + rest * gradient * gradient
        v[i] = square
        p[i] -= rate * gradient / (math.sqrt(square) + epsilon)


@jit
def _adam(p, g, m, v, rate, epsilon, decay, shrink, beta1, beta2):
    rest1, rest2 = g.dtype.type(1) - beta1, g.dtype.type(1) - beta2
    for i in range(len(p)):
        gradient = g[i] + decay * p[i]
        mean = beta1 * m[i] + rest1 * gradient
        square = beta2 * v[i] + rest2 * gradient * gradient
        m[i] = mean
        v[i] = square
        p[i] = shrink * p[i] - rate * mean / (math.sqrt(square) + epsilon)


@jit
def update(rule, p, g, slot, second, factors, constants):
    """Update the parameters p with their gradient g, by a rule of `nn.optimizers`."""
    stay_apart()
    real = g.dtype.type
    rate, decay, one, zero = real(factors[0]), real(constants[0]), real(1), real(0)
    if rule == SGD:
        _descend(p, g, rate, decay)
    elif rule in (MOMENTUM, NESTEROV):
        _momentum(p, g, slot, rate, decay, real(constants[1]), rule == NESTEROV)
    elif rule == RMSPROP:
        _rmsprop(p, g, slot, rate, decay, real(constants[1]), real(constants[2]))
    else:
        shrink = real(1 - factors[0] * constants[0]) if rule == ADAMW else one
        _adam(
            p, g, slot, second, real(factors[1]), real(factors[2]),
            zero if rule == ADAMW else decay, shrink, real(constants[1]), real(constants[2]),
        )  # fmt: skip
