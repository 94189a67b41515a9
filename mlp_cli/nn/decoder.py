"""A decoder: it reconstructs the inputs from the layers of a network, to teach the network more.

In training, the inputs x get noise and the network sees x̃. From what its layers make of x̃, the
decoder reconstructs x, layer by layer, from the last one down. The mean square of what it misses is
added to the cost. So the layers learn to tell the digit from the noise, also if the classes are
right already. A trained network needs no decoder. This is the ladder network of Rasmus et al.
(Semi-supervised learning with ladder networks, 2015) with its cost at the inputs alone.

Layer l = 0 is the inputs, and layer L the output layer. For a layer with n neurons, below one with
m neurons:

    t_l   (K, n)    what the network has there: x̃, or z = a Wᵀ + b of a hidden layer
    V     (n, m)    the weights of the decoder, v_ji from neuron i above to neuron j
    u_l   (K, n)    what the layer above says of it:    u_l = BN(q_{l+1} Vᵀ),   q_L = z_L
    q_l   (K, n)    the reconstruction:                 q_l = (t_l − μ(u_l)) ⊙ v(u_l) + μ(u_l)

BN normalises each column to mean 0 and variance 1 over the minibatch. μ and v are curves with ten
constants for each neuron, a row of A (n, 10):

    μ(u) = a₁ σ(a₂ u + a₃) + a₄ u + a₅          v(u) = a₆ σ(a₇ u + a₈) + a₉ u + a₁₀

If t is a normal variable with Gaussian noise, the best reconstruction of it is such a weighted mean
of t and of what is known otherwise (section 4.1 of the paper). The cost is

    D = λ/(K n) Σ_kj (q_0 − x)²_kj              n: the number of inputs
    ∂D/∂q_0 = 2 λ/(K n) (q_0 − x)

and the errors go from the inputs up to the last layer, each product like one of `backprop`:

    ΔV = δᵀ q_{l+1}       δ (K, n) = ∂D/∂(q_{l+1} Vᵀ)        (n, K)(K, m) = (n, m)
    ∂D/∂q_{l+1} = δ V                                        (K, n)(n, m) = (K, m)

On their way they leave ∂D/∂t_l in each layer. `backprop` adds it to δ of the class cost there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlp_cli.nn.buffers import Array, Norm, columns_first
from mlp_cli.nn.decoder_ops import Combinator
from mlp_cli.nn.network import Network, Views, rows_of
from mlp_cli.nn.ops import Ops


@dataclass(frozen=True, slots=True)
class DecodedLayer:
    """What one worker reads and writes of a layer that is reconstructed: n of its N neurons.

    Attributes
    ----------
    V, dV, dA
        (n, m), (n, m) and (n, 10): its rows of V, and of the gradient.
    V_above
        (N, neurons): the columns of V that belong to its neurons in the layer above.
    combinator, norm
        t, u and q (K, n), with A; and how u is normalised.
    error, error_above
        (K, n) ∂D/∂q, which becomes ∂D/∂t; and that of its neurons in the layer above.
    delta, whole_delta
        δ (K, n), and that of all workers, (K, N).
    """

    V: Array
    dV: Array
    dA: Array
    V_above: Array
    combinator: Combinator
    norm: Norm
    error: Array
    error_above: Array
    delta: Array
    whole_delta: Array


class Decoder:
    """The decoder's passes over K examples, in buffers made once.

    Parameters
    ----------
    network
        Made with `decoder=True`. Its parameters are read at every call.
    gradient
        Views of the gradient, which the backward pass writes.
    K, weight, workers
        Examples in a minibatch, λ, and the number of threads.

    Attributes
    ----------
    target
        x (K, n), before noise.
    reconstructions, deltas
        q (K, n) and δ = ∂D/∂(q Vᵀ) (K, n) of each layer, from the inputs up, as the last call left
        them.
    """

    def __init__(
        self, network: Network, gradient: Views, K: int, weight: float, workers: int
    ) -> None:
        *decoded, c = network.sizes
        self.weight = weight
        self._factor = 2 * weight / (K * decoded[0])
        self.target = columns_first(K, decoded[0], network.dtype)
        self.reconstructions, self.deltas, self._u, errors = (
            [columns_first(K, N, network.dtype) for N in decoded] for _ in range(4)
        )
        self._rows = [rows_of(worker, workers, K) for worker in range(workers)]
        # Every worker computes all of the last layer for itself, as in `layers`.
        self._own = [
            [*(rows_of(worker, workers, N) for N in decoded), slice(0, c)]
            for worker in range(workers)
        ]
        self._errors = [
            [
                *(error[:, own] for error, own in zip(errors, owned, strict=False)),
                columns_first(K, c, network.dtype),
            ]
            for owned in self._own
        ]
        self._layers = [
            [self._layer(network, gradient, layer, worker) for layer in range(len(decoded))]
            for worker in range(workers)
        ]

    def _layer(self, network: Network, gradient: Views, layer: int, worker: int) -> DecodedLayer:
        """Cut a worker's share out of a layer, counted from 0."""
        own, own_above = self._own[worker][layer : layer + 2]
        error, error_above = self._errors[worker][layer : layer + 2]
        V = network.parameter_views.decoder_weights[layer]
        A = network.parameter_views.combinators[layer]
        u = self._u[layer][:, own]
        K, n = u.shape
        t, hat, s = (columns_first(K, n, u.dtype) for _ in range(3))
        # Without γ and β, for the curves scale and shift u; and no running statistics are needed.
        gamma, *running, inverse, mean, variance, dgamma = np.ones((7, n), u.dtype)
        return DecodedLayer(
            V=V[own],
            dV=gradient.decoder_weights[layer][own],
            dA=gradient.combinators[layer][own],
            V_above=V[:, own_above],
            combinator=Combinator.of(A[own], t, u, self.reconstructions[layer][:, own]),
            norm=Norm(gamma, running[0], running[1], hat, inverse, mean, variance, s, dgamma),
            error=error,
            error_above=error_above,
            delta=self.deltas[layer][:, own],
            whole_delta=self.deltas[layer],
        )

    def keep_target(self, x: Array, worker: int, ops: Ops) -> None:
        """Keep a worker's examples of the inputs x (K, n), before anything disturbs them."""
        rows = self._rows[worker]
        ops.transpose(x[rows], self.target[rows])

    def keep_inputs(self, x: Array, worker: int, ops: Ops) -> None:
        """Keep a worker's columns of the inputs x (K, n), after everything has disturbed them."""
        ops.transpose(x[:, self._own[worker][0]], self._layers[worker][0].combinator.t)

    def keep_z(self, layer: int, z: Array, b: Array, worker: int, ops: Ops) -> None:
        """Keep a worker's z (K, n) of a hidden layer, counted from 1, which lacks the biases b."""
        ops.add_bias(z, b, self._layers[worker][layer].combinator.t)

    def decode(self, z: Array, worker: int, ops: Ops) -> None:
        """Reconstruct every layer, from z (K, c) of the last one down to the inputs."""
        above = (*self.reconstructions[1:], z)
        for layer, q in reversed([*zip(self._layers[worker], above, strict=True)]):
            u = layer.combinator.u
            ops.product(q, layer.V.T, u)  # q Vᵀ
            ops.normalise(u, layer.norm)  # u = BN(q Vᵀ)
            ops.combine(layer.combinator)  # q = (t − μ) v + μ
            ops.barrier(worker)

    def backward(self, z: Array, worker: int, ops: Ops) -> None:
        """Write the gradients of V and A, and the errors of every layer, for z (K, c)."""
        bottom, target = self._layers[worker][0], self.target[:, self._own[worker][0]]
        ops.difference(bottom.combinator.q, target, self._factor, bottom.error)  # ∂D/∂q₀
        above = (*self.reconstructions[1:], z)
        for layer, q in zip(self._layers[worker], above, strict=True):
            ops.combine_backward(layer.combinator, layer.error, layer.delta, layer.dA)
            unused = layer.norm.variance  # for ∂D/∂β: u has no β
            ops.normalise_backward(layer.delta, layer.norm, unused)  # δ
            ops.product(layer.delta.T, q, layer.dV)  # ΔV = δᵀ q
            ops.barrier(worker)
            ops.product(layer.whole_delta, layer.V_above, layer.error_above)  # δ V

    def error(self, layer: int, worker: int) -> Array:
        """Return ∂D/∂z (K, n) of a worker's neurons in a layer, counted from 1."""
        return self._errors[worker][layer]

    def cost(self) -> float:
        """Return D for what `decode` reconstructed last."""
        missed = self.reconstructions[0] - self.target
        return self.weight * float(np.square(missed, dtype=np.float64).mean())
