"""The operations that a training step is made of, as NumPy carries them out.

A step is a fixed sequence of operations on fixed buffers: the network, the optimizer and the reader
of the data call them in its order. The operations here do their work when they are called. Those
of `fast` take the same calls once, as a program, which compiled code then runs; so the sequence is
written down in one place only, and every step of a training can run through either.

Shapes and names as in `network`. This module imports NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from mlp_cli.nn.activations import Activation
from mlp_cli.nn.buffers import (
    Array,
    Bits,
    Block,
    Drawn,
    Field,
    Flags,
    Norm,
    Numbers,
    Pixels,
    Rows,
    Warp,
)
from mlp_cli.nn.losses import Loss

# Batch normalisation (Ioffe and Szegedy, 2015): ε, and the new minibatch's share of a running mean.
EPSILON, FRESH = 1e-5, 0.1

# SplitMix64 (Steele, Lea and Flood, 2014): 64 well-mixed bits from each number of a sequence.
GOLDEN, MIX = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SHIFTS = (30, 27, 31)


class Rule(Protocol):
    """An update rule: its name, its constants, and what it does to a block."""

    name: str

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers that are the same in every step."""

    def update(self, block: Block, factors: Numbers) -> None:
        """Update the block's parameters with a step's factors."""


def alone(part: int) -> None:
    """Meet nobody: the way to meet of a thread that computes the whole."""


class Operations:
    """NumPy's operations, each done as it is called.

    Parameters
    ----------
    meet
        What a member of a team calls, with its number, to wait for the others.
    """

    def __init__(self, meet: Callable[[int], None] = alone) -> None:
        self.meet = meet

    def product(self, left: Array, right: Array, out: Array) -> None:
        """Write the matrix product of (m, k) and (k, n), or (k,), to `out`."""
        np.matmul(left, right, out=out)

    def activate(self, f: Activation, z: Array, b: Array, s: Array) -> None:
        """Turn z (K, m), still without the biases b (m,), into a = f(z + b)."""
        np.add(z, b, out=z)
        f.apply(z, s)

    def derive(self, f: Activation, delta: Array, a: Array, s: Array) -> None:
        """Multiply delta (K, m) by f′(z), known from a (K, m)."""
        f.backward(delta, a, s)

    def error(self, loss: Loss, z: Array, y: Array, delta: Array, s: Array) -> None:
        """Write δ_L (K, c) for z (K, c) and y (K, c)."""
        loss.delta(z, y, delta, s)

    def normalise(self, z: Array, norm: Norm) -> None:
        """Turn z (K, m) into γ ẑ, ẑ = (z − μ) / √(σ² + ε) over the minibatch, and keep track.

        The running variance is that of a sample: it grows by K / (K − 1).
        """
        gamma, running_mean, running_variance, hat, inverse, mean, variance, s = norm
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
            np.multiply(running, 1 - FRESH, out=running)
            np.multiply(new, FRESH, out=new)
            np.add(running, new, out=running)

    def unnormalise(self, delta: Array, norm: Norm, dgamma: Array, dbeta: Array) -> None:
        """Turn delta (K, m) = ∂C/∂(γ ẑ + β) into ∂C/∂z, and write ∂C/∂γ and ∂C/∂β, (m,) each.

        ∂C/∂β = Σ_k δ_k, ∂C/∂γ = Σ_k δ_k ẑ_k and
        ∂C/∂z = γ / √(σ² + ε) · (δ − ∂C/∂β / K − ẑ ∂C/∂γ / K)  (Ioffe and Szegedy, 2015, section 3).
        """
        hat, mean, s, K = norm.hat, norm.mean, norm.s, len(delta)
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

    def draw(self, mask: Drawn, key: Bits, stream: int, p: float) -> None:
        """Fill a mask: each value is 0 with probability p, to 16 bits, else 1 / (1 − p).

        A value depends on the key (1,), the stream, which separates the masks of one step, and its
        place in the whole matrix alone.
        """
        r, _, places, s, t = mask
        _mix(places, key ^ np.uint64(stream), s, t)
        threshold = dropped(p)
        np.greater_equal(s.view(np.uint16)[:, : r.shape[1]], threshold, out=r)
        np.multiply(r, 65536 / (65536 - threshold), out=r)

    def deviate(self, noise: Drawn, key: Bits, stream: int, deviation: float) -> None:
        """Fill with noise: uniform, of mean 0 and this deviation, in 65,536 steps.

        A value depends on what `draw`'s depend on.
        """
        r, _, places, s, t = noise
        _mix(places, key ^ np.uint64(stream), s, t)
        np.copyto(r, s.view(np.uint16)[:, : r.shape[1]])
        np.add(r, 0.5 - 32768, out=r)
        np.multiply(r, spacing(deviation), out=r)

    def noise(self, field: Field, key: Bits, origin: Rows, first: int) -> None:
        """Fill a field with numbers uniform in (−1, 1), in steps of 2⁻¹⁵.

        They depend on the key (1,) and the places in all images alone: the field's first image is
        number `origin` (1,) plus `first`.
        """
        noise, _, places, t, u = field
        fours = places[:, :2].size  # of an image, and two numbers to each of its pixels
        start = (int(origin[0]) + first) * fours * GOLDEN % 2**64
        _mix(places, key + np.uint64(start), t, u)
        np.copyto(noise, t.view(np.uint16)[..., : noise.shape[2]])
        np.add(noise, 0.5 - 32768, out=noise)
        np.multiply(noise, 1 / 32768, out=noise)

    def warp(
        self,
        images: Pixels,
        rows: Rows,
        maps: Array,
        field: Array,
        x: Array,
        scale: Array,
        shift: Array,
        s: Warp,
    ) -> None:
        """Take each pixel from elsewhere in its image, as `distortion` has it.

        x (k, inputs) receives rows (k,) of images (N, inputs), times `scale` and less `shift`, by
        the `maps` (k, 7) and the field (height, 2 k, width), whose first k belong to u.
        """
        height, two_k, width = field.shape
        k = two_k // 2
        np.take(images, rows, axis=0, out=s.pixels, mode="clip")
        np.copyto(s.padded[:, 1 : height + 1, 1 : width + 1], s.pixels.reshape(k, height, width))
        u, v = s.places
        for axis, (place, size) in enumerate(((u, height), (v, width))):
            np.matmul(maps[:, 2 * axis : 2 * axis + 2], s.grid[:2], out=place)
            np.add(place, maps[:, 4 + axis, np.newaxis], out=place)
            np.add(place, (size - 1) / 2, out=place)
            move, out = s.taps[0].reshape(k, height, width), place.reshape(k, height, width)
            np.multiply(
                field[:, axis * k : (axis + 1) * k].transpose(1, 0, 2),
                maps[:, 6, np.newaxis, np.newaxis],
                out=move,
            )
            np.add(out, move, out=out)
            np.clip(place, -1, size, out=place)
        # From here on in the padded image, whose frame is black.
        i, j = s.taps[0], s.taps[1]
        np.floor(u, out=i)
        np.floor(v, out=j)
        np.subtract(u, i, out=u)
        np.subtract(v, j, out=v)
        np.multiply(i, width + 3, out=i)
        np.add(i, j, out=i)
        np.add(i, width + 4, out=i)
        np.copyto(s.at, i, casting="unsafe")
        np.add(s.at, s.start, out=s.at)
        for tap, step in zip(s.taps, (0, 1, width + 3 - 1, 1), strict=True):
            np.add(s.at, step, out=s.at)
            np.take(s.padded.reshape(-1), s.at, out=tap, mode="clip")
        upper, right, lower, last = s.taps
        for low, high, share in ((upper, right, v), (lower, last, v), (upper, lower, u)):
            np.subtract(high, low, out=high)
            np.multiply(high, share, out=high)
            np.add(low, high, out=low)
        np.multiply(upper, scale, out=x)
        if shift.any():
            np.subtract(x, shift, out=x)

    def multiply(self, a: Array, r: Array, out: Array) -> None:
        """Write a ⊙ r to `out`, all (K, m)."""
        np.multiply(a, r, out=out)

    def add(self, a: Array, r: Array, out: Array) -> None:
        """Write a + r to `out`, all (K, m)."""
        np.add(a, r, out=out)

    def limit(self, W: Array, c: float, s: Array) -> None:
        """Scale each row of W (m, n) whose norm is above c down to it; s is (m,)."""
        np.einsum("ij,ij->i", W, W, out=s)
        np.sqrt(s, out=s)
        np.maximum(s, c, out=s)
        np.divide(c, s, out=s)
        np.multiply(W, s[:, np.newaxis], out=W)

    def count(
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
        """Shrink the pieces where the root of all the `squares` is above the limit."""
        norm = float(np.sqrt(squares.sum()))
        # A norm that is not finite is left alone: the weights follow it, and training stops loudly.
        if limit < norm < np.inf:
            for g in pieces:
                np.multiply(g, limit / norm, out=g)

    def read(
        self,
        images: Pixels,
        rows: Rows,
        soon: Rows,
        x: Array,
        scale: Array,
        shift: Array,
        s: Pixels,
    ) -> None:
        """Write rows (K,) of images (N, n), times `scale` and less `shift`, to x (K, n).

        The rows `soon` are those of the next call, which may be fetched ahead.
        """
        # mode="clip" writes straight into `out`; the default mode goes through a copy.
        np.take(images, rows, axis=0, out=s, mode="clip")
        np.copyto(x, s)  # a cast in a pass of its own: inside `multiply` it is buffered
        np.multiply(x, scale, out=x)
        if shift.any():
            np.subtract(x, shift, out=x)

    def look_up(
        self, labels: Pixels, rows: Rows, found: Pixels, one_hot: Array, y: Array, s: Rows
    ) -> None:
        """Write rows (K,) of labels (N,) to `found` (K,), and their lines of `one_hot` to y."""
        np.take(labels, rows, out=found, mode="clip")
        np.copyto(s, found)  # `take` would make an array for the cast
        np.take(one_hot, s, axis=0, out=y, mode="clip")


def _mix(places: Bits, key: Bits, s: Bits, t: Bits) -> None:
    """Write SplitMix64's bits for numbers of its sequence to s; t is scratch."""
    np.multiply(places, np.uint64(GOLDEN), out=s)
    np.add(s, key, out=s)
    for shift, factor in zip(SHIFTS, (*MIX, None), strict=True):
        np.right_shift(s, np.uint64(shift), out=t)
        np.bitwise_xor(s, t, out=s)
        if factor is not None:
            np.multiply(s, np.uint64(factor), out=s)


def dropped(p: float) -> int:
    """Return how many of 65,536 equally likely numbers a dropout of p drops."""
    return round(65536 * p)


def spacing(deviation: float) -> float:
    """Return half of what lies between two neighbours of 65,536 numbers of this deviation."""
    return math.sqrt(3) * deviation / 32768


NUMPY = Operations()
