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
    combinator, norm
        t, u and q (K, n), with A; and how u is normalised.
    delta, delta_u
        (K, n): ∂D/∂q, which becomes ∂D/∂t; and ∂D/∂u, which becomes δ.
    whole_q, whole_delta_u
        (K, N) of all workers.
    V_below
        (neurons below, n): the columns of V of the layer below that belong to the n neurons. None
        for the inputs.
    """

    V: Array
    dV: Array
    dA: Array
    combinator: Combinator
    norm: Norm
    delta: Array
    delta_u: Array
    whole_q: Array
    whole_delta_u: Array
    V_below: Array | None

    @classmethod
    def of(
        cls,
        network: Network,
        gradient: Views,
        layer: int,
        whole_q: Array,
        whole_delta_u: Array,
        own: slice,
    ) -> DecodedLayer:
        """Cut a worker's share out of a layer, counted from 0, and make its own arrays."""
        K, n, dtype = len(whole_q), own.stop - own.start, network.dtype
        weights = network.parameter_views.decoder_weights
        t, u, delta, hat, s = (columns_first(K, n, dtype) for _ in range(5))
        gamma, *rest = np.ones((7, n), dtype)
        A = network.parameter_views.combinators[layer][own]
        return cls(
            V=weights[layer][own],
            dV=gradient.decoder_weights[layer][own],
            dA=gradient.combinators[layer][own],
            combinator=Combinator.of(A, t, u, whole_q[:, own]),
            # Without γ and β: the curves scale and shift u. Running statistics are not needed.
            norm=Norm(gamma, rest[0], rest[1], hat, rest[2], rest[3], rest[4], s, rest[5]),
            delta=delta,
            delta_u=whole_delta_u[:, own],
            whole_q=whole_q,
            whole_delta_u=whole_delta_u,
            V_below=weights[layer - 1][:, own] if layer else None,
        )


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
    """

    def __init__(
        self, network: Network, gradient: Views, K: int, weight: float, workers: int
    ) -> None:
        n = network.sizes[0]
        self.weight = weight
        self._factor = 2 * weight / (K * n)
        self._V_last = network.parameter_views.decoder_weights[-1]
        self.target = columns_first(K, n, network.dtype)
        shared = [
            (columns_first(K, N, network.dtype), columns_first(K, N, network.dtype))
            for N in network.sizes[:-1]
        ]
        self._layers = [
            [
                DecodedLayer.of(network, gradient, layer, *whole, rows_of(worker, workers, N))
                for layer, (N, whole) in enumerate(zip(network.sizes, shared, strict=False))
            ]
            for worker in range(workers)
        ]
        self._extra = [columns_first(K, network.sizes[-1], network.dtype) for _ in range(workers)]
        self._rows = [rows_of(worker, workers, K) for worker in range(workers)]
        self._own = [rows_of(worker, workers, n) for worker in range(workers)]

    def keep_target(self, x: Array, worker: int, ops: Ops) -> None:
        """Keep a worker's examples of the inputs x (K, n), before anything disturbs them."""
        rows = self._rows[worker]
        ops.transpose(x[rows], self.target[rows])

    def keep_inputs(self, x: Array, worker: int, ops: Ops) -> None:
        """Keep a worker's columns of the inputs x (K, n), after everything has disturbed them."""
        ops.transpose(x[:, self._own[worker]], self._layers[worker][0].combinator.t)

    def keep_z(self, layer: int, z: Array, b: Array, worker: int, ops: Ops) -> None:
        """Keep a worker's z (K, n) of a hidden layer, counted from 1, which lacks the biases b."""
        ops.add_bias(z, b, self._layers[worker][layer].combinator.t)

    def decode(self, z: Array, worker: int, ops: Ops) -> None:
        """Reconstruct every layer, from z (K, c) of the last one down to the inputs."""
        above = z
        for layer in reversed(self._layers[worker]):
            combinator = layer.combinator
            ops.product(above, layer.V.T, combinator.u)  # q Vᵀ
            ops.normalise(combinator.u, layer.norm)  # u
            ops.combine(combinator)  # q = (t − μ) v + μ
            ops.barrier(worker)
            above = layer.whole_q

    def backward(self, z: Array, worker: int, ops: Ops) -> Array:
        """Write the gradients of V and A, and ∂D/∂t of each layer; return ∂D/∂z (K, c)."""
        layers = self._layers[worker]
        target = self.target[:, self._own[worker]]
        bottom = layers[0]
        ops.difference(bottom.combinator.q, target, self._factor, bottom.delta)
        for layer, above in zip(layers, (*layers[1:], None), strict=True):
            ops.combine_backward(layer.combinator, layer.delta, layer.delta_u, layer.dA)
            ops.normalise_backward(layer.delta_u, layer.norm, layer.norm.variance)
            q = z if above is None else above.whole_q
            ops.product(layer.delta_u.T, q, layer.dV)  # ΔV = δᵀ q
            ops.barrier(worker)
            if above is None:
                ops.product(layer.whole_delta_u, self._V_last, self._extra[worker])
            else:
                ops.product(layer.whole_delta_u, above.V_below, above.delta)  # δ V
        return self._extra[worker]

    def lateral(self, layer: int, worker: int) -> Array:
        """Return ∂D/∂z (K, n) of a worker's neurons in a hidden layer, counted from 1."""
        return self._layers[worker][layer].delta

    def cost(self) -> float:
        """Return D for what `decode` reconstructed last."""
        q = self._layers[0][0].whole_q
        return self.weight * float(np.square(q - self.target, dtype=np.float64).mean())
