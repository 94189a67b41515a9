"""The network: its sizes and functions, and the one vector that holds all of its parameters.

The vector holds all weights, layer by layer, then all biases, then every γ of batch normalisation.
`weights`, `biases` and `gammas` are views of it. So an optimizer may treat the network as one
vector, and weight decay as the first part of it. `backprop` computes with them, and explains the
notation. The parameters of a decoder, if there is one, lie in the same vector: its weights after
the others, and its combinators at the end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlp_cli.nn.activations import ACTIVATIONS, leaky_relu
from mlp_cli.nn.buffers import Array
from mlp_cli.nn.decoder_ops import CONSTANTS, INITIAL
from mlp_cli.nn.initialisers import INITIALISERS
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.ops import EPSILON


class Views(NamedTuple):
    """A vector (P,) seen as each layer's W (m, n) and b (m,), and each hidden layer's γ (m,).

    Those of a decoder are V (n, m) and A (n, `CONSTANTS`) of every layer, from the inputs up.
    """

    weights: list[Array]
    biases: list[Array]
    gammas: list[Array]
    decoder_weights: list[Array]
    combinators: list[Array]


class Network:
    """A fully connected network: layer sizes, an activation, a loss, and one vector of parameters.

    Parameters
    ----------
    sizes
        Inputs, then the neurons of each layer: [784, 30, 10] has one hidden layer of 30 neurons,
        [784, 10] none.
    activation, loss
        Keys of `ACTIVATIONS`, the function of the hidden layers, and of `LOSSES`, which brings the
        function of the last layer: softmax with cross_entropy, sigmoid with mse.
    dtype
        float32 or float64.
    batch_norm
        Whether the hidden layers are normalised over the minibatch.
    negative_slope
        Of leaky_relu; None is its default, and the only value that other activations allow.
    decoder
        Whether there are parameters for a `decoder.Decoder`.

    Attributes
    ----------
    parameters
        (P,) vector, zero until `initialise` or a copy fills it.
    parameter_views, weights, biases, gammas
        Views of it, all together and each kind: W (m, n) and b (m,) of every layer, γ (m,) of every
        normalised layer.
    weight_count
        The number of weights, which are the first elements of `parameters`.
    size
        The number of parameters without those of the decoder.
    statistics
        (S,) vector of the running means and variances of normalised layers. `running_means` and
        `running_variances`, (m,) each, are views of it.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        loss: str,
        dtype: str = "float32",
        *,
        batch_norm: bool = False,
        negative_slope: float | None = None,
        decoder: bool = False,
    ) -> None:
        self.sizes = tuple(sizes)
        self._names = activation, loss
        self.activation = ACTIVATIONS[activation]
        if negative_slope is not None:
            assert activation == "leaky_relu"
            self.activation = leaky_relu(negative_slope)
        self.loss = LOSSES[loss]
        self.dtype = np.dtype(dtype)
        self.batch_norm = batch_norm
        self._normalised = self.sizes[1:-1] if batch_norm else ()
        self._decoded = self.sizes[:-1] if decoder else ()
        weights = sum(m * n for n, m in itertools.pairwise(self.sizes))
        self.weight_count = 2 * weights if decoder else weights
        self.size = weights + sum(self.sizes[1:]) + sum(self._normalised)
        P = self.size + self.weight_count - weights + CONSTANTS * sum(self._decoded)
        self.parameters = np.zeros(P, self.dtype)
        self.parameter_views = self.views(self.parameters)
        self.weights, self.biases, self.gammas, *_ = self.parameter_views
        self.statistics = np.zeros(2 * sum(self._normalised), self.dtype)
        self.running_means, self.running_variances = self.statistics_of(self.statistics)

    def views(self, vector: Array) -> Views:
        """Return the views of a vector (P,)."""
        layers = list(itertools.pairwise(self.sizes))
        shapes: list[list[tuple[int, ...]]] = [
            [(m, n) for n, m in layers],
            [(n, m) for n, m in layers if self._decoded],
            [(m,) for _, m in layers],
            [(m,) for m in self._normalised],
            [(n, CONSTANTS) for n in self._decoded],
        ]
        pieces = iter(_cut(vector, [math.prod(shape) for kind in shapes for shape in kind]))
        W, V, b, gamma, A = ([next(pieces).reshape(shape) for shape in kind] for kind in shapes)
        return Views(W, b, gamma, V, A)

    def statistics_of(self, vector: Array) -> tuple[list[Array], list[Array]]:
        """Return the views of a vector (S,): running means and running variances."""
        half = len(vector) // 2
        return _cut(vector[:half], self._normalised), _cut(vector[half:], self._normalised)

    def named(self, parameters: Array, statistics: Array) -> dict[str, Array]:
        """Return the views of a vector (P,) and of one (S,), by PyTorch's names for them.

        `layers.0.weight` (m, n) and `layers.0.bias` (m,) are those of a `Linear`. `norms.0.weight`,
        which is γ, `norms.0.bias`, `norms.0.running_mean` and `norms.0.running_var` are those of
        the `BatchNorm1d` that follows it. The bias of the `Linear` is then 0.
        """
        views, statistics_of = self.views(parameters), self.statistics_of(statistics)
        named = {}
        for layer, (W, b) in enumerate(zip(views.weights, views.biases, strict=True)):
            named[f"layers.{layer}.weight"] = W
            if layer < len(views.gammas):
                named[f"norms.{layer}.weight"], named[f"norms.{layer}.bias"] = (
                    views.gammas[layer],
                    b,
                )
                named[f"norms.{layer}.running_mean"] = statistics_of[0][layer]
                named[f"norms.{layer}.running_var"] = statistics_of[1][layer]
                b = np.zeros_like(b)
            named[f"layers.{layer}.bias"] = b
        return named

    def named_decoder(self, parameters: Array) -> dict[str, Array]:
        """Return the decoder's views of a vector (P,), by their names in a checkpoint.

        `decoder.0.weight` (n, m) and `decoder.0.combinator` (n, `CONSTANTS`) are those that
        reconstruct the n inputs.
        """
        named, views = {}, self.views(parameters)
        for layer, (V, A) in enumerate(zip(views.decoder_weights, views.combinators, strict=True)):
            named[f"decoder.{layer}.weight"] = V
            named[f"decoder.{layer}.combinator"] = A
        return named

    def initialise(self, name: str, generator: np.random.Generator) -> None:
        """Draw the first parameters as `INITIALISERS[name]` says, from float64 numbers.

        The weights of a decoder are drawn last, with mean 0 and variance 1/m.
        """
        rule = INITIALISERS[name]
        for W, b in zip(self.weights, self.biases, strict=True):
            deviation = rule.deviation(*W.shape)
            if rule.uniform:  # U(−r, r) has the deviation r / √3
                W[...] = generator.uniform(-1, 1, W.shape) * (deviation * math.sqrt(3))
            else:
                W[...] = generator.standard_normal(W.shape) * deviation
            b[...] = generator.standard_normal(b.shape) if rule.normal_biases else 0
        for gamma, variance in zip(self.gammas, self.running_variances, strict=True):
            gamma[...] = variance[...] = 1
        for V in self.parameter_views.decoder_weights:
            V[...] = generator.standard_normal(V.shape) / math.sqrt(V.shape[1])
        for A in self.parameter_views.combinators:
            A[...] = INITIAL

    def without_norm(self) -> Network:
        """Return a network of the same layers without normalisation. Its parameters are all 0."""
        plain = Network(self.sizes, *self._names, str(self.dtype))
        plain.activation = self.activation
        return plain

    def fold(self, parameters: Array, statistics: Array, into: Network) -> None:
        """Fold normalisation into weights: write the plain network that computes the same.

        With W ← γ W / √(σ² + ε) and b ← b − γ μ / √(σ² + ε), from the running μ and σ², z of the
        plain layer is γ ẑ + b of the normalised one in evaluation.

        Parameters
        ----------
        parameters, statistics
            (P,) and (S,): those of this network, or others of the same shapes.
        into
            A network of the same layers without normalisation.
        """
        views, (means, variances) = self.views(parameters), self.statistics_of(statistics)
        for to, of in zip(into.weights + into.biases, views.weights + views.biases, strict=True):
            to[...] = of
        for layer, (gamma, mean, variance) in enumerate(
            zip(views.gammas, means, variances, strict=True)
        ):
            scale = gamma / np.sqrt(variance + self.dtype.type(EPSILON))
            into.weights[layer] *= scale[:, np.newaxis]
            into.biases[layer] -= scale * mean


def _cut(vector: Array, widths: Sequence[int]) -> list[Array]:
    """Return views of a vector: pieces of these lengths, from its start."""
    ends = list(itertools.accumulate(widths, initial=0))
    return [vector[start:end] for start, end in itertools.pairwise(ends)]


def rows_of(worker: int, workers: int, m: int) -> slice:
    """Return which of m rows a worker owns."""
    return slice(m * worker // workers, m * (worker + 1) // workers)


def owned_slices(network: Network, worker: int, workers: int) -> list[slice]:
    """Return which slices of the vector of parameters hold the rows that a worker owns."""
    slices: list[slice] = []
    at = 0
    W, b, gamma, V, A = network.parameter_views
    for matrix in (*W, *V, *b, *gamma, *A):
        own, width = rows_of(worker, workers, len(matrix)), matrix.size // len(matrix)
        start, stop = at + own.start * width, at + own.stop * width
        if slices and slices[-1].stop == start:
            start = slices.pop().start
        slices.append(slice(start, stop))
        at += matrix.size
    return slices
