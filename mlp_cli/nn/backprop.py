"""The gradient, by matrix products over the whole minibatch.

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

Two regularisers change the forward pass of hidden layers, and with it the backward one:

    batch normalisation   a = f(γ ẑ + b), ẑ = (z − μ) / √(σ² + ε), z = a Wᵀ: b is its β
    dropout               the layer above sees a ⊙ r, r = 0 with probability p, else 1 / (1 − p)

(Ioffe and Szegedy, 2015; Srivastava et al., 2014, scaled in training instead of afterwards.)

What the lines below call is `operations`: NumPy's, or those that only note what compiled code then
does. This module does no input or output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.buffers import Array, Bits, Drawn, Norm
from mlp_cli.nn.network import Network, rows_of
from mlp_cli.nn.ops import NUMPY, Operations

IDENTITY = ACTIVATIONS["identity"]
NO_KEY = np.zeros(1, np.uint64)  # for networks without dropout


class Dropout(NamedTuple):
    """How likely an input, and a hidden neuron, is dropped in a step: 0 ≤ p < 1."""

    inputs: float = 0.0
    hidden: float = 0.0


class Noise(NamedTuple):
    """The deviation of what a step adds to the inputs, and to the hidden neurons' z."""

    inputs: float = 0.0
    hidden: float = 0.0


NO_DROPOUT = Dropout()
NO_NOISE = Noise()
NOISE_STREAM = 2**16  # the first of noise; those of dropout begin at 0


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
    dropout, noise
        How likely inputs and hidden neurons are dropped, and what is added to them: functions of a
        call's key.

    Attributes
    ----------
    activations, outputs, deltas
        a (K, m) of each hidden layer, the same with dropout, which the layer above sees, and
        δ = ∂C/∂z (K, m) of every layer, as the last call left them.
    masks, noises
        Each hidden layer's r (K, m) and what was added to its z (K, m), where there is any.
    gradient
        ∂C/∂parameters (P,); its views are `weight_gradients`, ΔW (m, n), `bias_gradients`, Δb (m,)
        and `gamma_gradients`, Δγ (m,).
    """

    def __init__(
        self,
        network: Network,
        K: int,
        gradient: Array | None = None,
        *,
        parts: int = 1,
        dropout: Dropout = NO_DROPOUT,
        noise: Noise = NO_NOISE,
    ) -> None:
        self.network = network
        self.dropout = dropout
        self.noise = noise
        dtype = network.dtype
        if gradient is None:
            gradient = np.zeros_like(network.parameters)
        self.gradient = gradient
        views = network.views(gradient)
        self.weight_gradients, self.bias_gradients, self.gamma_gradients = views

        def hidden() -> list[Array]:
            return [columns_first(K, m, dtype) for m in network.sizes[1:-1]]

        self.activations, hidden_deltas = hidden(), hidden()
        self.masks = hidden() if dropout.hidden else []
        self.noises = hidden() if noise.hidden else []
        self.outputs = hidden() if dropout.hidden else self.activations
        self.hats = hidden() if network.batch_norm else []  # ẑ
        self._ones = np.ones(K, dtype)
        self._last = network.weights[-1].T, network.biases[-1]
        self._parts = [
            _Part(
                self,
                rows_of(part, parts, K),
                [rows_of(part, parts, m) for m in network.sizes[1:]],
                hidden_deltas,
            )
            for part in range(parts)
        ]
        self.deltas = self._parts[0].deltas

    def forward(
        self, x: Array, z: Array, part: int = 0, do: Operations = NUMPY, key: Bits = NO_KEY
    ) -> None:
        """Compute the last layer's weighted inputs z (K, c) for the inputs x (K, n).

        Every part computes all of z, into a buffer of its own. Noise and dropout are functions of
        the key (1,), this step's own; what they make of x is written over it.
        """
        mine, f, a = self._parts[part], self.network.activation, x
        self._disturb(x, part, do, key)
        # The last W is read whole. Between that and its updates lie the meetings over the hidden
        # layers; where there are none, these two stand in.
        if not self.activations:
            do.meet(part)
        for layer, (WT, b, out, s) in enumerate(mine.forward):
            do.product(a, WT, out)  # z = a Wᵀ + b
            if mine.norms:
                do.normalise(out, mine.norms[layer])  # γ ẑ
            if mine.noises:
                noise = mine.noises[layer]
                do.deviate(noise, key, NOISE_STREAM + layer + 1, self.noise.hidden)
                do.add(out, noise.r.T, out)  # + noise
            do.activate(f, out, b, s)  # a = f(z)
            if mine.masks:
                mask, dropped = mine.masks[layer]
                do.draw(mask, key, layer + 1, self.dropout.hidden)
                do.multiply(out, mask.r.T, dropped)  # a ⊙ r
            do.meet(part)
            a = self.outputs[layer]
        WT, b = self._last
        do.product(a, WT, z)
        do.activate(IDENTITY, z, b, z)
        if not self.activations:
            do.meet(part)

    def _disturb(self, x: Array, part: int, do: Operations, key: Bits) -> None:
        """Add noise to the inputs x (K, n) and drop some, each part its own examples."""
        mine = self._parts[part]
        own = x[mine.rows]
        if mine.input_noise is not None:
            do.deviate(mine.input_noise, key, NOISE_STREAM, self.noise.inputs)
            do.add(own, mine.input_noise.r, own)
        if mine.input_mask is not None:
            do.draw(mine.input_mask, key, 0, self.dropout.inputs)
            do.multiply(own, mine.input_mask.r, own)
        if mine.input_noise is not None or mine.input_mask is not None:
            do.meet(part)

    def backward(self, x: Array, y: Array, z: Array, part: int = 0, do: Operations = NUMPY) -> None:
        """Write the gradient for the inputs x (K, n), targets y (K, c) and `forward`'s z (K, c).

        Every part writes its own rows. When it returns, no part reads what another may change.
        """
        network, mine = self.network, self._parts[part]
        do.error(network.loss, z, y, mine.deltas[-1], mine.scratch)
        for layer, (deltaT, dW, db) in mine.backward:
            a = self.outputs[layer - 1] if layer else x
            do.product(deltaT, a, dW)  # ΔW = δᵀ a
            if not mine.norms or layer == len(mine.norms):
                do.product(deltaT, self._ones, db)  # Δb = δᵀ 1
            if layer:  # nobody needs the error of the pixels
                W, delta, a, s = mine.errors[layer - 1]
                do.product(mine.deltas[layer], W, delta)  # δ W
                if mine.masks:
                    do.multiply(delta, mine.masks[layer - 1][0].r.T, delta)  # ⊙ r
                do.derive(network.activation, delta, a, s)  # ⊙ f′(z)
                if mine.norms:
                    below, dgamma, dbeta = mine.norm_gradients[layer - 1]
                    do.unnormalise(delta, below, dgamma, dbeta)
                do.meet(part)

    def __call__(
        self,
        x: Array,
        y: Array,
        z: Array,
        part: int = 0,
        do: Operations = NUMPY,
        key: Bits = NO_KEY,
    ) -> None:
        """Run both passes: z (K, c) and the gradient, for inputs x (K, n) and targets y (K, c)."""
        self.forward(x, z, part, do, key)
        self.backward(x, y, z, part, do)


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
        self, whole: Backpropagation, rows: slice, owned: list[slice], hidden_deltas: list[Array]
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
        self.rows = rows
        inputs = rows.stop - rows.start, network.sizes[0]
        self.input_mask, self.input_noise = (
            Drawn.over(np.empty(inputs, network.dtype), rows.start) if some else None
            for some in (whole.dropout.inputs, whole.noise.inputs)
        )
        self.masks = [
            (Drawn.over(r.T[own], own.start), dropped[:, own])
            for r, dropped, own in zip(whole.masks, whole.outputs, owned, strict=False)
        ]
        self.noises = [
            Drawn.over(r.T[own], own.start) for r, own in zip(whole.noises, owned, strict=False)
        ]
        self.norms = [
            Norm(
                gamma[own], mean[own], variance[own], hat[:, own],
                np.empty_like(b[own]), np.empty_like(b[own]), np.empty_like(b[own]), s,
            )
            for b, gamma, mean, variance, hat, own, s in zip(
                network.biases,
                network.gammas,
                network.running_means,
                network.running_variances,
                whole.hats,
                owned,
                scratches,
                strict=False,
            )
        ]  # fmt: skip
        self.norm_gradients = [
            (norm, dgamma[own], db[own])
            for norm, dgamma, db, own in zip(
                self.norms, whole.gamma_gradients, whole.bias_gradients, owned, strict=False
            )
        ]
