"""The network and its gradient, by matrix products over the whole minibatch.

Notation, the same in every line below. A minibatch has K examples. Layer l has n inputs and m
neurons (its units, indexed i; its inputs, indexed j):

    x, a    (K, n)   the layer's inputs: pixels, or the activations of the layer before
    W       (m, n)   weights, w_ij from input j to neuron i
    b       (m,)     biases
    z       (K, m)   weighted inputs            z = a Wᵀ + b
    y       (K, c)   targets, one-hot over c classes
    C       scalar   cost: the mean over the minibatch of each example's loss
    δ       (K, m)   errors                     δ = ∂C/∂z

One example's gradient is the outer product ∂C/∂w_ij = δ_i a_j. For the minibatch

    ΔW = δᵀ a        (m, K)(K, n) = (m, n)

and the product sums the K outer products over the index that the two factors share: that is where
the batch went. C is a mean, so the factor 1/K stands in δ of the last layer, from where every other
δ inherits it, and no gradient is divided by K again:

    δ_L = (softmax(z) − y) / K           softmax with cross-entropy
    δ_L = (a − y) ⊙ a ⊙ (1 − a) / K      sigmoid with the quadratic cost
    δ_l = (δ_{l+1} W_{l+1}) ⊙ f′(z_l)    (K, m)(m, n) = (K, n)
    ΔW  = δᵀ a
    Δb  = Σ_k δ_k = 1ᵀ δ                 (K,)(K, m) = (m,)

(Nielsen, Neural Networks and Deep Learning, chapter 2, equations BP1 to BP4, in rows for columns.)

A step may be computed by several threads. Each then owns some rows of every W, and the elements of
b that go with them: it computes those columns of z, a and δ and those rows of ΔW, and meets the
others wherever one needs what all of them wrote, which is the whole a for the layer above and the
whole δ for the layer below. z and δ of the last layer are so small that every thread computes them
for itself. With one thread the part is the whole.

Every parameter lives in one flat vector: all weights, layer by layer, then all biases. `weights`
and `biases` are views of it, so an optimizer may treat the network as one vector, and weight decay
as its first part. What the lines below call is `operations`: NumPy's, or those that only note
what compiled code then does. This module does no input or output; beyond NumPy it needs those and
`functions`, the activations, losses and initialisers by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlp_cli.functions import ACTIVATIONS, INITIALISERS, LOSSES, Array
from mlp_cli.operations import NUMPY, Operations

IDENTITY = ACTIVATIONS["identity"]


class Network:
    """A fully connected network: layer sizes, an activation, a loss, and one vector of parameters.

    Parameters
    ----------
    sizes
        Inputs, then the neurons of each layer: [784, 30, 10] has one hidden layer of 30 neurons,
        [784, 10] none.
    activation, loss
        Keys of `ACTIVATIONS` (the hidden layers' function) and `LOSSES` (which brings the last
        layer's function: softmax with cross_entropy, sigmoid with mse).
    dtype
        float32 or float64.

    Attributes
    ----------
    parameters
        (P,) vector, zero until `initialise` or a copy fills it.
    weights, biases
        Views of it: for each layer W (m, n) and b (m,).
    weight_count
        How many leading elements of `parameters` are weights.
    """

    def __init__(
        self, sizes: Sequence[int], activation: str, loss: str, dtype: str = "float32"
    ) -> None:
        self.sizes = tuple(sizes)
        self.activation = ACTIVATIONS[activation]
        self.loss = LOSSES[loss]
        self.dtype = np.dtype(dtype)
        shapes = list(zip(self.sizes[1:], self.sizes[:-1], strict=True))
        self.weight_count = sum(m * n for m, n in shapes)
        self.parameters = np.zeros(self.weight_count + sum(self.sizes[1:]), self.dtype)
        self.weights, self.biases = self.views(self.parameters)

    def views(self, vector: Array) -> tuple[list[Array], list[Array]]:
        """Return a (P,) vector's parts as each layer's (m, n) weights and (m,) biases, uncopied."""
        weights, biases = [], []
        at, bias_at = 0, self.weight_count
        for n, m in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            weights.append(vector[at : at + m * n].reshape(m, n))
            biases.append(vector[bias_at : bias_at + m])
            at, bias_at = at + m * n, bias_at + m
        return weights, biases

    def initialise(self, name: str, generator: np.random.Generator) -> None:
        """Draw the first parameters by the rule `INITIALISERS[name]`, from float64 numbers."""
        rule = INITIALISERS[name]
        for W, b in zip(self.weights, self.biases, strict=True):
            deviation = rule.deviation(*W.shape)
            if rule.uniform:  # U(−r, r) has the deviation r / √3
                W[...] = generator.uniform(-1, 1, W.shape) * (deviation * math.sqrt(3))
            else:
                W[...] = generator.standard_normal(W.shape) * deviation
            b[...] = generator.standard_normal(b.shape) if rule.normal_biases else 0


class Backpropagation:
    """The forward and the backward pass of a network over K examples, in buffers made once.

    Parameters
    ----------
    network
        Its parameters are read at every call, never copied.
    K
        Examples in a minibatch.
    gradient
        (P,) vector that receives the gradient; made here where it is not given.
    parts
        How many threads call the passes, each with its own `part` from 0, and with operations
        whose `meet` waits for the others.

    Attributes
    ----------
    activations, deltas
        a (K, m) of each hidden layer and δ (K, m) of every layer, as the last call left them.
    gradient
        ∂C/∂parameters (P,); its views are `weight_gradients`, ΔW (m, n), and `bias_gradients`,
        Δb (m,).
    """

    def __init__(
        self,
        network: Network,
        K: int,
        gradient: Array | None = None,
        *,
        parts: int = 1,
    ) -> None:
        self.network = network
        dtype = network.dtype
        if gradient is None:
            gradient = np.zeros_like(network.parameters)
        self.gradient = gradient
        self.weight_gradients, self.bias_gradients = network.views(gradient)
        self.activations = [columns_first(K, m, dtype) for m in network.sizes[1:-1]]
        hidden_deltas = [columns_first(K, m, dtype) for m in network.sizes[1:-1]]
        self._ones = np.ones(K, dtype)
        self._last = network.weights[-1].T, network.biases[-1]
        self._parts = [
            _Part(self, [rows(part, parts, m) for m in network.sizes[1:]], hidden_deltas)
            for part in range(parts)
        ]
        self.deltas = self._parts[0].deltas

    def forward(self, x: Array, z: Array, part: int = 0, do: Operations = NUMPY) -> None:
        """Compute the last layer's weighted inputs z (K, c) for the inputs x (K, n).

        Every part computes all of z, into a buffer of its own.
        """
        mine, f, a = self._parts[part], self.network.activation, x
        # The last W is read whole. Between that and its updates lie the meetings over the hidden
        # layers; where there are none, these two stand in.
        if not self.activations:
            do.meet(part)
        for layer, (WT, b, out, s) in enumerate(mine.forward):
            do.product(a, WT, out)  # z = a Wᵀ + b
            do.activate(f, out, b, s)  # a = f(z)
            do.meet(part)
            a = self.activations[layer]
        WT, b = self._last
        do.product(a, WT, z)
        do.activate(IDENTITY, z, b, z)
        if not self.activations:
            do.meet(part)

    def backward(self, x: Array, y: Array, z: Array, part: int = 0, do: Operations = NUMPY) -> None:
        """Write the gradient for the inputs x (K, n), targets y (K, c) and `forward`'s z (K, c).

        Every part writes its own rows. When it returns, no part reads what another may change.
        """
        network, mine = self.network, self._parts[part]
        do.error(network.loss, z, y, mine.deltas[-1], mine.scratch)
        for layer, (deltaT, dW, db) in mine.backward:
            a = self.activations[layer - 1] if layer else x
            do.product(deltaT, a, dW)  # ΔW = δᵀ a
            do.product(deltaT, self._ones, db)  # Δb = δᵀ 1
            if layer:  # nobody needs the error of the pixels
                W, delta, a, s = mine.errors[layer - 1]
                do.product(mine.deltas[layer], W, delta)  # δ W
                do.derive(network.activation, delta, a, s)  # ⊙ f′(z)
                do.meet(part)

    def __call__(self, x: Array, y: Array, z: Array, part: int = 0, do: Operations = NUMPY) -> None:
        """Run both passes: z (K, c) and the gradient, for inputs x (K, n) and targets y (K, c)."""
        self.forward(x, z, part, do)
        self.backward(x, y, z, part, do)


def rows(part: int, parts: int, m: int) -> slice:
    """Return which of m rows a part owns."""
    return slice(m * part // parts, m * (part + 1) // parts)


def owned(network: Network, part: int, parts: int) -> list[slice]:
    """Return where the rows that a part owns lie in the vector of parameters."""
    pieces: list[slice] = []
    at = 0
    for matrix in (*network.weights, *network.biases):
        own, width = rows(part, parts, len(matrix)), matrix.size // len(matrix)
        start, stop = at + own.start * width, at + own.stop * width
        if pieces and pieces[-1].stop == start:
            start = pieces.pop().start
        pieces.append(slice(start, stop))
        at += matrix.size
    return pieces


def columns_first(K: int, m: int, dtype: np.dtype[Any]) -> Array:
    """Return an array (K, m) that holds a neuron's K values side by side, as z, a and δ do.

    A part's columns are then one piece of memory. And no product has two transposed factors: the
    kernel that OpenBLAS 0.3.31 has for small ones of that kind on AVX-512 writes wrong numbers in
    wrong places where two threads are in it at once.
    """
    return np.empty((m, K), dtype).T


class _Part:
    """What one part reads and writes in a layer, found once: views, and scratch of its own."""

    def __init__(
        self, whole: Backpropagation, owned: list[slice], hidden_deltas: list[Array]
    ) -> None:
        network, K = whole.network, len(whole._ones)
        shape = (K, network.sizes[-1])
        self.scratch = columns_first(*shape, network.dtype)
        self.deltas = [*hidden_deltas, columns_first(*shape, network.dtype)]
        scratches = [columns_first(K, own.stop - own.start, network.dtype) for own in owned[:-1]]
        self.forward = [
            (W[own].T, b[own], a[:, own], s)
            for W, b, own, a, s in zip(
                network.weights, network.biases, owned, whole.activations, scratches, strict=False
            )
        ]
        gradients = zip(whole.weight_gradients, whole.bias_gradients, strict=True)
        self.backward = [
            (layer, (self.deltas[layer][:, owned[layer]].T, dW[owned[layer]], db[owned[layer]]))
            for layer, (dW, db) in enumerate(gradients)
        ][::-1]
        self.errors = [
            (W[:, own], delta[:, own], a[:, own], s)
            for W, own, delta, a, s in zip(
                network.weights[1:],
                owned,
                hidden_deltas,
                whole.activations,
                scratches,
                strict=False,
            )
        ]
