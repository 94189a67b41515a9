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

The gradient of one example is the outer product ∂C/∂w_ij = δ_i a_j. For the minibatch

    ΔW = δᵀ a        (m, K)(K, n) = (m, n)

and the product sums the K outer products over the index that its two factors share: that is where
the batch went. C is a mean, so the factor 1/K stands in δ of the last layer. Every other δ inherits
it from there, and no gradient is divided by K again:

    δ_L = (softmax(z) − y) / K           softmax with cross-entropy
    δ_L = (a − y) ⊙ a ⊙ (1 − a) / K      sigmoid with the quadratic cost
    δ_l = (δ_{l+1} W_{l+1}) ⊙ f′(z_l)    (K, m)(m, n) = (K, n)
    ΔW  = δᵀ a
    Δb  = Σ_k δ_k = 1ᵀ δ                 (K,)(K, m) = (m,)

(Nielsen, Neural Networks and Deep Learning, chapter 2, equations BP1 to BP4, with an example in
each row instead of each column.)

A step may be computed by several threads, the workers: `layers` says who owns what. They wait for
each other at a barrier before one of them reads what all of them wrote: the whole a for the layer
above, and the whole δ for the layer below. A single worker owns everything.

Two regularisers change the forward pass of hidden layers, and so the backward pass:

    batch normalisation   a = f(γ ẑ + b), ẑ = (z − μ) / √(σ² + ε), z = a Wᵀ: b is its β
    dropout               the layer above sees a ⊙ r, r = 0 with probability p, else 1 / (1 − p)

(Ioffe and Szegedy, 2015; Srivastava et al., 2014, scaled in training instead of afterwards.)

A decoder adds the cost of what it cannot reconstruct (`decoder`).

The lines below call `ops`: either NumPy's operations, or a recorder that writes the same calls down
as a program for compiled code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.buffers import Array, Bits, RandomBuffer
from mlp_cli.nn.decoder import Decoder
from mlp_cli.nn.layers import HiddenBuffers, HiddenLayer, OutputLayer, WorkerLayers
from mlp_cli.nn.network import Network, rows_of
from mlp_cli.nn.ops import NUMPY, Ops

IDENTITY = ACTIVATIONS["identity"]
NO_KEY = np.zeros(1, np.uint64)  # for networks without dropout and noise


class Dropout(NamedTuple):
    """The probability that an input, and a hidden neuron, is dropped in a step: 0 ≤ p < 1."""

    inputs: float = 0.0
    hidden: float = 0.0


class Noise(NamedTuple):
    """The deviation of the noise that a step adds to the inputs, and to z of hidden neurons."""

    inputs: float = 0.0
    hidden: float = 0.0


NO_DROPOUT = Dropout()
NO_NOISE = Noise()
NOISE_STREAM = 2**16  # noise of layer l has stream 2¹⁶ + l, and its dropout has stream l


class _InputRows(NamedTuple):
    """The rows of x that a worker disturbs, and its random numbers for them."""

    rows: slice
    mask: RandomBuffer | None
    noise: RandomBuffer | None


class Backpropagation:
    """The forward and the backward pass of a network over K examples, in buffers made once.

    Parameters
    ----------
    network
        Its parameters are read at every call, never copied.
    K
        Examples in a minibatch.
    gradient
        (P,) vector that receives the gradient. If it is None, a new one is made.
    workers
        The number of threads that call the passes. Each gives its number, from 0, and `ops` whose
        `barrier` waits for the others.
    dropout, noise
        Whether inputs and hidden neurons are dropped, and what is added to them. What is drawn is a
        function of the key of a call.
    reconstruction
        λ, the weight of the decoder's cost, if the network has a decoder; 0 leaves it out.

    Attributes
    ----------
    activations, outputs, deltas
        a (K, m) of each hidden layer; the same after dropout, which the layer above sees; and
        δ = ∂C/∂z (K, m) of every layer. All as the last call left them.
    masks, noises
        r (K, m) of each hidden layer, and what was added to its z (K, m). Empty without dropout or
        noise.
    gradient
        ∂C/∂parameters (P,). Its views are `weight_gradients`, ΔW (m, n), `bias_gradients`, Δb (m,),
        and `gamma_gradients`, Δγ (m,).
    decoder
        The decoder, or None.
    """

    def __init__(
        self,
        network: Network,
        K: int,
        gradient: Array | None = None,
        *,
        workers: int = 1,
        dropout: Dropout = NO_DROPOUT,
        noise: Noise = NO_NOISE,
        reconstruction: float = 0.0,
    ) -> None:
        self.network = network
        self.dropout = dropout
        self.noise = noise
        self.reconstruction = reconstruction
        self.gradient = np.zeros_like(network.parameters) if gradient is None else gradient
        views = network.views(self.gradient)
        self.weight_gradients, self.bias_gradients, self.gamma_gradients, *_ = views
        self.decoder = None
        if reconstruction:
            self.decoder = Decoder(network, views, K, reconstruction, workers)
        hidden = [
            HiddenBuffers.of(
                K,
                m,
                network.dtype,
                keeps_derivative=network.activation.keeps_derivative,
                dropout=dropout.hidden > 0,
                noise=noise.hidden > 0,
                batch_norm=network.batch_norm,
            )
            for m in network.sizes[1:-1]
        ]
        self._ones = np.ones(K, network.dtype)
        self._layers = [
            WorkerLayers.of(network, hidden, views, K, worker, workers) for worker in range(workers)
        ]
        self._inputs = [self._input_rows(rows_of(worker, workers, K)) for worker in range(workers)]
        self.activations = [layer.a for layer in hidden]
        self.outputs = [layer.output for layer in hidden]
        self.masks = [layer.mask for layer in hidden if layer.mask is not None]
        self.noises = [layer.noise for layer in hidden if layer.noise is not None]
        self.deltas = [*(layer.delta for layer in hidden), self._layers[0].output.whole_delta]

    def _input_rows(self, rows: slice) -> _InputRows:
        shape = rows.stop - rows.start, self.network.sizes[0]
        mask, noise = (
            RandomBuffer.over(np.empty(shape, self.network.dtype), rows.start) if amount else None
            for amount in (self.dropout.inputs, self.noise.inputs)
        )
        return _InputRows(rows, mask, noise)

    def forward(
        self, x: Array, z: Array, worker: int = 0, ops: Ops = NUMPY, key: Bits = NO_KEY
    ) -> None:
        """Compute z (K, c) of the last layer for the inputs x (K, n).

        Every worker computes all of z, into a buffer of its own. Noise and dropout are functions of
        the key (1,) of this step. Those of the inputs are written over x.
        """
        f, decoder = self.network.activation, self.decoder
        hidden, output = self._layers[worker]
        if decoder is not None:
            decoder.keep_target(x, worker, ops)
        self._disturb_inputs(x, worker, ops, key)
        if decoder is not None:
            decoder.keep_inputs(x, worker, ops)
        # The W of the last layer is read whole. The barriers over the hidden layers lie between
        # that and its updates; without hidden layers, the two barriers below do.
        if not hidden:
            ops.barrier(worker)
        a = x
        for layer in hidden:
            z_own = layer.a  # the activation is applied in place
            ops.product(a, layer.W.T, z_own)  # z = a Wᵀ + b
            if layer.norm is not None:
                ops.normalise(z_own, layer.norm)  # γ ẑ
            if layer.noise is not None:
                stream = NOISE_STREAM + layer.number
                ops.add_noise(z_own.T, layer.noise, key, stream, self.noise.hidden)
            if decoder is not None:
                decoder.keep_z(layer.number, z_own, layer.b, worker, ops)
            ops.activate(f, z_own, layer.b, layer.kept, layer.scratch)  # a = f(z)
            if layer.mask is not None:
                ops.dropout_mask(layer.mask, key, layer.number, self.dropout.hidden)
                ops.multiply(layer.a, layer.mask.r.T, layer.dropped)  # a ⊙ r
            ops.barrier(worker)
            a = layer.output
        ops.product(a, output.W.T, z)
        ops.activate(IDENTITY, z, output.b, z, z)
        if not hidden:
            ops.barrier(worker)

    def decode(self, z: Array) -> float:
        """Return the decoder's cost for the inputs of the last `forward` and its z (K, c), or 0."""
        if self.decoder is None:
            return 0.0
        self.decoder.decode(z, 0, NUMPY)
        return self.decoder.cost()

    def _disturb_inputs(self, x: Array, worker: int, ops: Ops, key: Bits) -> None:
        """Add noise to the inputs x (K, n) and drop some: each worker those of its own examples."""
        rows, mask, noise = self._inputs[worker]
        if noise is not None:
            ops.add_noise(x[rows], noise, key, NOISE_STREAM, self.noise.inputs)
        if mask is not None:
            ops.dropout_mask(mask, key, 0, self.dropout.inputs)
            ops.multiply(x[rows], mask.r, x[rows])
        if noise is not None or mask is not None:
            ops.barrier(worker)

    def backward(self, x: Array, y: Array, z: Array, worker: int = 0, ops: Ops = NUMPY) -> None:
        """Write the gradient for the inputs x (K, n), targets y (K, c) and `forward`'s z (K, c).

        Every worker writes its own rows. When it returns, no worker reads what another may change.
        """
        hidden, output = self._layers[worker]
        ops.output_delta(self.network.loss, z, y, output.whole_delta, output.scratch)
        decoder = self.decoder
        if decoder is not None:
            decoder.decode(z, worker, ops)
            decoder.backward(z, worker, ops)
            error = decoder.error(len(hidden) + 1, worker)
            ops.add(output.whole_delta, error, output.whole_delta)  # + ∂D/∂z
            if not hidden:
                ops.barrier(worker)  # V was read whole, and its update follows
        layer: OutputLayer | HiddenLayer = output
        while True:
            below, deltaT = layer.below, layer.delta.T
            a = x if below is None else below.output
            ops.product(deltaT, a, layer.dW)  # ΔW = δᵀ a
            if layer.norm is None:
                ops.product(deltaT, self._ones, layer.db)  # Δb = δᵀ 1
            if below is None:
                return  # nobody needs the error of the pixels
            ops.product(layer.whole_delta, below.W_above, below.delta)  # δ W
            if below.mask is not None:
                ops.multiply(below.delta, below.mask.r.T, below.delta)  # ⊙ r
            f = self.network.activation
            ops.multiply_by_derivative(f, below.delta, below.kept, below.scratch)  # ⊙ f′(z)
            if decoder is not None:
                ops.add(below.delta, decoder.error(below.number, worker), below.delta)  # + ∂D/∂z
            if below.norm is not None:
                ops.normalise_backward(below.delta, below.norm, below.db)
            ops.barrier(worker)
            layer = below

    def __call__(
        self,
        x: Array,
        y: Array,
        z: Array,
        worker: int = 0,
        ops: Ops = NUMPY,
        key: Bits = NO_KEY,
    ) -> None:
        """Run both passes: z (K, c) and the gradient, for inputs x (K, n) and targets y (K, c)."""
        self.forward(x, z, worker, ops, key)
        self.backward(x, y, z, worker, ops)
