"""The operations of a training step, as NumPy does them.

A step is a fixed sequence of operations on fixed buffers, called by the network, the optimizer and
the reader of the data. The operations here do their work when they are called. `compute.fast` takes
the same calls once, as a program that compiled code then runs. So the sequence is written down in
one place only, and every step of a training can run through either.

Shapes and names are those of `backprop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from mlp_cli.nn.activations import Activation
from mlp_cli.nn.buffers import Array, Bits, Block, Flags, Norm, Numbers, Pixels, RandomBuffer
from mlp_cli.nn.decoder_ops import DecoderOps
from mlp_cli.nn.image_ops import ImageOps
from mlp_cli.nn.losses import Loss
from mlp_cli.nn.splitmix import dropout_threshold, mix, noise_spacing

# Batch normalisation (Ioffe and Szegedy, 2015): ε, and the share of a running mean that a new
# minibatch gets.
EPSILON, NEW_SHARE = 1e-5, 0.1


class Rule(Protocol):
    """An update rule: its name, its constants, and the function that updates a block."""

    @property
    def name(self) -> str:
        """Its name for compiled code."""

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers that are the same in every step."""

    def update(self, block: Block, factors: Numbers) -> None:
        """Update the parameters of a block with the factors of a step."""


def no_barrier(worker: int) -> None:
    """Return at once: the barrier of a single thread."""


class Ops(ImageOps, DecoderOps):
    """NumPy's operations, each done when it is called.

    Parameters
    ----------
    barrier
        A worker calls it with its number, to wait for the others.
    """

    def __init__(self, barrier: Callable[[int], None] = no_barrier) -> None:
        self.barrier = barrier

    def product(self, left: Array, right: Array, out: Array) -> None:
        """Write the matrix product of (m, k) and (k, n), or of (m, k) and (k,), to `out`."""
        np.matmul(left, right, out=out)

    def activate(self, f: Activation, z: Array, b: Array, kept: Array, s: Array) -> None:
        """Turn z (K, m), which lacks the biases b (m,), into a = f(z + b), in place.

        `kept` (K, m) gets what `multiply_by_derivative` needs. It is z itself, unless f keeps its
        derivative.
        """
        np.add(z, b, out=z)
        f.apply(z, kept, s)

    def multiply_by_derivative(self, f: Activation, delta: Array, kept: Array, s: Array) -> None:
        """Multiply delta (K, m) by f′(z), which follows from what `activate` kept (K, m)."""
        f.backward(delta, kept, s)

    def output_delta(self, loss: Loss, z: Array, y: Array, delta: Array, s: Array) -> None:
        """Write δ_L (K, c) for z (K, c) and y (K, c)."""
        loss.delta(z, y, delta, s)

    def normalise(self, z: Array, norm: Norm) -> None:
        """Turn z (K, m) into γ ẑ, ẑ = (z − μ) / √(σ² + ε), and update the running statistics.

        μ and σ² are those of the minibatch. The running variance is the unbiased one, of
        K / (K − 1) times the size.
        """
        gamma, running_mean, running_variance, hat, inverse, mean, variance, s, _ = norm
        K = len(z)
        np.mean(z, axis=0, out=mean)
        np.subtract(z, mean, out=hat)
        np.multiply(hat, hat, out=s)
        np.mean(s, axis=0, out=variance)
        np.add(variance, EPSILON, out=inverse)
        np.sqrt(inverse, out=inverse)
        np.divide(1, inverse, out=inverse)
        np.multiply(hat, inverse, out=hat)
        np.multiply(hat, gamma, out=z)
        np.multiply(variance, K / max(K - 1, 1), out=variance)
        for running, new in ((running_mean, mean), (running_variance, variance)):
            np.multiply(running, 1 - NEW_SHARE, out=running)
            np.multiply(new, NEW_SHARE, out=new)
            np.add(running, new, out=running)

    def normalise_backward(self, delta: Array, norm: Norm, dbeta: Array) -> None:
        """Turn delta (K, m) = ∂C/∂(γ ẑ + β) into ∂C/∂z, and write ∂C/∂γ and ∂C/∂β, (m,) each.

        ∂C/∂β = Σ_k δ_k, ∂C/∂γ = Σ_k δ_k ẑ_k and
        ∂C/∂z = γ / √(σ² + ε) · (δ − ∂C/∂β / K − ẑ ∂C/∂γ / K)  (Ioffe and Szegedy, 2015, section 3).
        """
        hat, mean, s, dgamma, K = norm.hat, norm.mean, norm.s, norm.dgamma, len(delta)
        np.sum(delta, axis=0, out=dbeta)
        np.multiply(delta, hat, out=s)
        np.sum(s, axis=0, out=dgamma)
        np.multiply(dbeta, 1 / K, out=mean)
        np.subtract(delta, mean, out=delta)
        np.multiply(dgamma, 1 / K, out=mean)
        np.multiply(hat, mean, out=s)
        np.subtract(delta, s, out=delta)
        np.multiply(norm.gamma, norm.inverse, out=mean)
        np.multiply(delta, mean, out=delta)

    def dropout_mask(self, mask: RandomBuffer, key: Bits, stream: int, p: float) -> None:
        """Fill a mask: each value is 0 with probability p, to 16 bits, else 1 / (1 − p).

        A value depends on three things alone: the key (1,), the stream, which separates the masks
        of one step, and its place in the whole matrix.
        """
        r, _, places, s, t = mask
        mix(places, key ^ np.uint64(stream), s, t)
        threshold = dropout_threshold(p)
        np.greater_equal(s.view(np.uint16)[:, : r.shape[1]], threshold, out=r)
        np.multiply(r, 65536 / (65536 - threshold), out=r)

    def add_noise(
        self, z: Array, noise: RandomBuffer, key: Bits, stream: int, deviation: float
    ) -> None:
        """Add noise to z, of the shape of `noise.r`: uniform, of mean 0 and this deviation.

        It has 65,536 values. Each is a function of what those of `dropout_mask` are functions of.
        """
        r, _, places, s, t = noise
        mix(places, key ^ np.uint64(stream), s, t)
        np.copyto(r, s.view(np.uint16)[:, : r.shape[1]])
        np.add(r, 0.5 - 32768, out=r)
        np.multiply(r, noise_spacing(deviation), out=r)
        np.add(z, r, out=z)

    def multiply(self, a: Array, r: Array, out: Array) -> None:
        """Write a ⊙ r to `out`, all (K, m)."""
        np.multiply(a, r, out=out)

    def add(self, a: Array, r: Array, out: Array) -> None:
        """Write a + r to `out`, all (K, m)."""
        np.add(a, r, out=out)

    def limit_norms(self, W: Array, c: float, s: Array) -> None:
        """Scale each row of W (m, n) with a norm above c down to norm c; s (m,) is scratch."""
        np.einsum("ij,ij->i", W, W, out=s)
        np.sqrt(s, out=s)
        np.maximum(s, c, out=s)
        np.divide(c, s, out=s)
        np.multiply(W, s[:, np.newaxis], out=W)

    def count_correct(
        self, loss: Loss, z: Array, y: Array, labels: Pixels, losses: Array, right: Flags, s: Array
    ) -> None:
        """Write each example's loss (K,), and whether its largest z is at its label, (K,)."""
        losses[...] = loss.values(z, y)
        np.equal(z.argmax(axis=1), labels, out=right)

    def update(self, rule: Rule, block: Block, factors: Numbers) -> None:
        """Update a block of parameters."""
        rule.update(block, factors)

    def sum_squares(self, pieces: Sequence[Array], total: Numbers) -> None:
        """Write Σ g² over all pieces to `total` (1,)."""
        total[0] = sum(float(np.dot(g, g)) for g in pieces)

    def clip(self, pieces: Sequence[Array], limit: float, squares: Numbers) -> None:
        """Scale the pieces down if the root of the sum of all `squares` is above the limit."""
        norm = float(np.sqrt(squares.sum()))
        # A norm that is not finite is left alone: the weights become so too, and training stops.
        if limit < norm < np.inf:
            for g in pieces:
                np.multiply(g, limit / norm, out=g)


NUMPY = Ops()
