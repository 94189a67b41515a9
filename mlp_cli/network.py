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

Every parameter lives in one flat vector: all weights, layer by layer, then all biases. `weights`
and `biases` are views of it, so an optimizer may treat the network as one vector, and weight decay
as its first part. This module does no input or output; beyond NumPy it needs only `functions`, the
activations, losses and initialisers by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlp_cli.functions import ACTIVATIONS, INITIALISERS, LOSSES, Array


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

    Attributes
    ----------
    activations, deltas
        a (K, m) of each hidden layer and δ (K, m) of every layer, as the last call left them.
    gradient
        ∂C/∂parameters (P,); its views are `weight_gradients`, ΔW (m, n), and `bias_gradients`,
        Δb (m,).
    """

    def __init__(self, network: Network, K: int, gradient: Array | None = None) -> None:
        self.network = network
        dtype = network.dtype
        if gradient is None:
            gradient = np.zeros_like(network.parameters)
        self.gradient = gradient
        self.weight_gradients, self.bias_gradients = network.views(gradient)
        self.activations = [np.empty((K, m), dtype) for m in network.sizes[1:-1]]
        self.deltas = [np.empty((K, m), dtype) for m in network.sizes[1:]]
        self._scratch = [np.empty((K, m), dtype) for m in network.sizes[1:]]
        self._ones = np.ones(K, dtype)
        self._transposed = [W.T for W in network.weights]

    def forward(self, x: Array, z: Array) -> None:
        """Compute the last layer's weighted inputs z (K, c) for the inputs x (K, n)."""
        network = self.network
        a = x
        for WT, b, out, s in zip(
            self._transposed, network.biases, self.activations, self._scratch, strict=False
        ):
            np.matmul(a, WT, out=out)  # z = a Wᵀ + b
            np.add(out, b, out=out)
            network.activation.apply(out, s)  # a = f(z)
            a = out
        np.matmul(a, self._transposed[-1], out=z)
        np.add(z, network.biases[-1], out=z)

    def backward(self, x: Array, y: Array, z: Array) -> None:
        """Write the gradient for the inputs x (K, n), targets y (K, c) and `forward`'s z (K, c)."""
        network, deltas = self.network, self.deltas
        network.loss.delta(z, y, deltas[-1], self._scratch[-1])
        for layer in reversed(range(len(deltas))):
            delta = deltas[layer]
            a = self.activations[layer - 1] if layer else x
            np.matmul(delta.T, a, out=self.weight_gradients[layer])  # ΔW = δᵀ a
            np.matmul(self._ones, delta, out=self.bias_gradients[layer])  # Δb = 1ᵀ δ
            if layer:  # nobody needs the error of the pixels
                np.matmul(delta, network.weights[layer], out=deltas[layer - 1])
                network.activation.backward(deltas[layer - 1], a, self._scratch[layer - 1])

    def __call__(self, x: Array, y: Array, z: Array) -> None:
        """Run both passes: z (K, c) and the gradient, for inputs x (K, n) and targets y (K, c)."""
        self.forward(x, z)
        self.backward(x, y, z)
