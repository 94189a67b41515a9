"""The gradient in slow ways that nobody doubts: by single examples, by tiling, by differences.

loop         the examples one by one: the outer product δ_i a_j of each layer, summed over k
tiling       all K outer products at once: δ and a tiled to (K, m, n), summed over k
differences  (C(p − 2hd) − 8 C(p − hd) + 8 C(p + hd) − C(p + 2hd)) / 12h against g · d. Here g
             is the gradient, and d is ±1 at a few random places of the weights or biases of one
             layer and 0 elsewhere. The error of these central differences falls with h⁴. A relu
             has a kink: if a neuron crosses it on the way, d is drawn again and h is halved.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlp_cli.gradcheck.decoder_loop import add_decoder_gradient
from mlp_cli.gradcheck.normalisation_loop import normalise, normalise_backward
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.buffers import Array

DIRECTIONS = 5  # for each layer's weights and each layer's biases
PLACES = 30  # where d is not 0: few, so that few relus come near their kinks
STEP = 1e-5  # h, at first
REDRAWS = 100


def loop_gradient(backpropagate: Backpropagation, x: Array, y: Array) -> Array:
    """Return the gradient (P,) as the sum over single examples, each by outer products.

    x (K, n) are the inputs after noise and dropout. The noises and masks of the hidden layers are
    those of `backpropagate`.
    """
    network, decoder = backpropagate.network, backpropagate.decoder
    f, last = network.activation, len(network.weights) - 1
    total = np.zeros_like(network.parameters)
    gradient = network.views(total)
    dW, db, dgamma, *_ = gradient
    inputs, laterals, slopes, hats, inverses = [[*x]], [[*x]], [], [], []
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        z = [W @ a for a in inputs[-1]]
        if layer == last:
            break
        if network.batch_norm:
            hat, inverse = normalise(z)
            hats.append(hat)
            inverses.append(inverse)
            z = [network.gammas[layer] * hat_k for hat_k in hat]
        if backpropagate.noises:
            z = [z_k + noise for z_k, noise in zip(z, backpropagate.noises[layer], strict=True)]
        laterals.append([z_k + b for z_k in z])
        outputs = [z_k.copy() for z_k in laterals[-1]]
        slopes.append([np.ones_like(b) for _ in outputs])
        for k, (a, slope) in enumerate(zip(outputs, slopes[-1], strict=True)):
            kept = np.empty_like(a) if f.keeps_derivative else a
            f.apply(a, kept, np.empty_like(a))
            f.backward(slope, kept, np.empty_like(a))
            if backpropagate.masks:
                a *= backpropagate.masks[layer][k]
                slope *= backpropagate.masks[layer][k]
        inputs.append(outputs)
    deltas = np.zeros_like(y)
    for z_k, y_k, delta in zip(z, y, deltas, strict=True):
        rows = [np.atleast_2d(row) for row in (z_k + b, y_k, delta, np.empty_like(delta))]
        network.loss.delta(*rows)
        delta /= len(x)
    if decoder is not None:
        laterals.append([z_k + b for z_k in z])
        of_decoder = add_decoder_gradient(network, decoder, laterals, gradient)
        deltas += of_decoder[-1]
    for layer in range(last, -1, -1):
        for delta, a in zip(deltas, inputs[layer], strict=True):
            dW[layer] += np.outer(delta, a)
        if layer == last or not network.batch_norm:
            db[layer] += sum(deltas)
        if layer:
            W = network.weights[layer]
            deltas = np.array([W.T @ d * s for d, s in zip(deltas, slopes[layer - 1], strict=True)])
            if decoder is not None:
                deltas += of_decoder[layer]
        if layer and network.batch_norm:
            hat, below = hats[layer - 1], layer - 1
            db[below] += sum(deltas)
            dgamma[below] += sum(deltas * hat)
            deltas = normalise_backward(deltas, hat, network.gammas[below] * inverses[below])
    return total


def tiled_gradient(delta: Array, a: Array) -> Array:
    """Return Σ_k δ_ki a_kj (m, n) with δ (K, m) and a (K, n) both tiled to (K, m, n)."""
    m, n = delta.shape[1], a.shape[1]
    tiled_delta = np.tile(delta[:, :, np.newaxis], (1, 1, n))
    tiled_a = np.tile(a[:, np.newaxis, :], (1, m, 1))
    np.multiply(tiled_delta, tiled_a, out=tiled_delta)
    gradient: Array = tiled_delta.sum(axis=0)
    return gradient


def difference_error(
    cost: Callable[[], tuple[float, list[NDArray[np.bool_]]]],
    parameters: Array,
    gradient: Array,
    random: np.random.Generator,
) -> float:
    """Return the largest relative error of a gradient of parameters along random directions.

    `cost` returns C, and on which side of a kink each neuron is.
    """
    places = parameters.reshape(-1)  # a view: the views of the vector are contiguous
    g = gradient.reshape(-1)

    def cost_at(at: NDArray[np.int64], step: Array) -> tuple[float, list[NDArray[np.bool_]]]:
        saved = places[at]
        places[at] += step
        found = cost()
        places[at] = saved
        return found

    worst, found, h = 0.0, 0, STEP
    for _ in range(REDRAWS):
        at = random.choice(len(places), min(PLACES, len(places)), replace=False)
        signs = random.choice([-1.0, 1.0], len(at))
        probes = [cost_at(at, step * h * signs) for step in (-2, -1, 1, 2)]
        costs = [value for value, _ in probes]
        if not all(map(np.array_equal, probes[0][1], probes[-1][1])):
            h /= 2
            continue
        slope = (costs[0] - 8 * costs[1] + 8 * costs[2] - costs[3]) / (12 * h)
        error = abs(slope - float(g[at] @ signs))
        worst = max(worst, error / max(float(np.linalg.norm(g[at])), 1e-4 * costs[0]))
        found += 1
        if found == DIRECTIONS:
            return worst
    return math.nan  # no direction without a kink was found: nothing is proved
