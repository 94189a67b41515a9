"""The first layer without its zeros: z = x Wᵀ and ΔW = δᵀ x, from the lit pixels alone.

Four of five pixels of MNIST are black, so four of five multiplications of the first layer are by
zero. Here each sum is taken over the lit pixels of an image, or over the images in which a pixel is
lit, and nothing else:

    z_k   = Σ_j x_kj w_j     over the j that are lit in image k       w_j: the weights of pixel j
    Δw_j  = Σ_k x_kj δ_k     over the k in which pixel j is lit

It is the same result in fewer operations. If black is a number ≠ 0, as standard scaling makes it,
"lit" means other than black. With x = x̄ + (x − x̄), x̄ black:

    z_k   = Σ_j x̄_j w_j + Σ_j (x_kj − x̄_j) w_j
    Δw_j  = x̄_j Σ_k δ_k + Σ_k (x_kj − x̄_j) δ_k

The first terms keep another promise: 0 × ∞ is not a number. A weight or an error that is not finite
makes them so, as in the whole product, even if no pixel that it belongs to is lit.

A number of x meets the weights of its pixel in one register. So the weights lie in panels here: W
(m, n) as (n, m), for at most `WIDTHS[-1]` neurons at a time. `fold` and `unfold` convert them, at
the start and at the end of a program. Addresses are those of memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from mlp_cli.compute.fast.intrinsics import jit, part, pointer, prefetch_all
from mlp_cli.compute.fast.opcodes import SGD
from mlp_cli.compute.fast.tiles import turn
from mlp_cli.compute.fast.tiling import BYTES, EXAMPLES, FEW, INPUTS, LANES, WIDTHS, WORD
from mlp_cli.compute.fast.updates import update
from mlp_cli.compute.fast.vectors import (
    find_nonzero_rows,
    lowest,
    nonzero,
    number_at,
    operations,
    put_number,
)


@part
def masks_of(address, K, n):
    """Return the bits of the pixels of K images, (K, ⌈n / 64⌉) words, as a vector."""
    return numba.carray(pointer(address), K * ((n + WORD - 1) // WORD), np.uint64)


@part
def _columns(address, K, n):
    """Return the bits of the images of n pixels, (⌈K / 32⌉, n) words, as a vector."""
    return numba.carray(pointer(address), (K + EXAMPLES - 1) // EXAMPLES * n, np.uint32)


@jit
def find_lit(x, background, lit, masks, K, n):
    """Write `lit` (K, n) ← x − x̄, and masks (K, ⌈n / 64⌉): the bits of what is not 0 in it.

    `lit` is x itself if x̄ is 0.
    """
    masks = masks_of(masks, K, n)
    words, whole = (n + WORD - 1) // WORD, n // LANES * LANES
    for k in range(K):
        row, mask = lit[k * n : (k + 1) * n], masks[k * words : (k + 1) * words]
        if lit.ctypes.data != x.ctypes.data:
            for j in range(n):
                row[j] = x[k * n + j] - background[j]
        mask[:] = np.uint64(0)
        for j in range(0, whole, LANES):
            mask[j // WORD] |= nonzero(row.ctypes.data + BYTES * j) << np.uint64(j % WORD)
        for j in range(whole, n):
            if row[j] != 0:
                mask[j // WORD] |= np.uint64(1) << np.uint64(j % WORD)


@jit
def find_columns(lit, columns, K, n, first, stop):
    """Write for the pixels from `first` to `stop` in which of K images they are lit.

    `columns` (⌈K / 32⌉, n) holds the bits of 32 images in a word.
    """
    columns = _columns(columns, K, n)
    whole = first + (stop - first) // LANES * LANES
    for word in range((K + EXAMPLES - 1) // EXAMPLES):
        start = word * EXAMPLES
        count = min(EXAMPLES, K - start)
        rows, bits = lit[start * n : (start + count) * n], columns[word * n : (word + 1) * n]
        for j in range(first, whole, LANES):
            find_nonzero_rows(
                rows.ctypes.data + BYTES * j, BYTES * n, count, bits.ctypes.data + BYTES * j
            )
        for j in range(whole, stop):
            bits[j] = 0
            for k in range(count):
                if rows[k * n + j] != 0:
                    bits[j] |= np.uint32(1) << np.uint32(k)


@jit
def fold(W, n, m, width, panel):
    """Write W (m, n) as a panel (n, width); beside the m neurons it keeps what it is: 0."""
    turn(W, n, m, n, panel, width)


@jit
def unfold(panel, n, m, width, W):
    """Write a panel (n, width) back as W (m, n)."""
    turn(panel, width, n, m, W, n)


class _Sums(NamedTuple):
    forward: Any
    add_errors: Any
    gradient: Any
    descend: Any


def _sums(size: int) -> _Sums:
    """Return the loops over panels of one width."""
    zero, load, spread, store, add, multiply, multiply_add, _ = operations(size)
    STEP = BYTES * size

    @jit
    def forward(lit, masks, background, K, n, W, z):
        words = (n + WORD - 1) // WORD
        for word in range(words):
            start, stop = word * WORD, min((word + 1) * WORD, n)
            black, other = zero(), zero()  # two sums, because one would wait for itself
            for j in range(start, stop - 1, 2):
                x, y = number_at(background + BYTES * j), number_at(background + BYTES * (j + 1))
                black = multiply_add(spread(x), load(W + STEP * j), black)
                other = multiply_add(spread(y), load(W + STEP * (j + 1)), other)
            if n % 2 and stop == n:
                x = number_at(background + BYTES * (n - 1))
                black = multiply_add(spread(x), load(W + STEP * (n - 1)), black)
            black = add(black, other)
            for k in range(K):
                place = z + STEP * k
                total = add(load(place), black) if word > 0 else black
                bits = masks[k * words + word]
                row, weights = lit + BYTES * (k * n + start), W + STEP * start
                while bits != 0:
                    j = lowest(bits)
                    bits &= bits - np.uint64(1)
                    x = spread(number_at(row + BYTES * j))
                    total = multiply_add(x, load(weights + STEP * j), total)
                store(place, total)

    @jit
    def add_errors(delta, K, sums):
        total = zero()
        for k in range(K):
            total = add(total, load(delta + STEP * k))
        store(sums, total)

    @part
    def first_share(j, background, sums):
        return multiply(spread(number_at(background + BYTES * j)), load(sums))

    @part
    def add_lit(total, word, j, lit, columns, n, delta):
        bits = np.uint64(columns[word * n + j])
        column = lit + BYTES * (word * EXAMPLES * n + j)
        errors = delta + STEP * word * EXAMPLES
        while bits != 0:
            k = lowest(bits)
            bits &= bits - np.uint64(1)
            x = spread(number_at(column + BYTES * k * n))
            total = multiply_add(x, load(errors + STEP * k), total)
        return total

    @jit
    def gradient(start, stop, lit, columns, background, K, n, delta, sums, g):
        for j in range(start, stop):
            store(g + STEP * (j - start), first_share(j, background, sums))
        for word in range((K + EXAMPLES - 1) // EXAMPLES):  # whose errors stay in the first cache
            for j in range(start, stop):
                place = g + STEP * (j - start)
                store(place, add_lit(load(place), word, j, lit, columns, n, delta))

    @jit
    def descend(lit, columns, background, K, n, delta, sums, W, rate, shrink):
        rate, shrink = spread(-rate), spread(shrink)
        for j in range(n):
            total = first_share(j, background, sums)
            for word in range((K + EXAMPLES - 1) // EXAMPLES):
                total = add_lit(total, word, j, lit, columns, n, delta)
            w = multiply(load(W + STEP * j), shrink)
            store(W + STEP * j, multiply_add(rate, total, w))

    return _Sums(forward, add_errors, gradient, descend)


def choose(one: Any, two: Any, three: Any) -> Any:
    """Return a function of a width, and of what the loops take, that runs the loop for it."""
    narrow, middle, _ = WIDTHS

    @jit
    def choice(width, *operands):
        if width == narrow:
            one(*operands)
        elif width == middle:
            two(*operands)
        else:
            three(*operands)

    return choice


_forward, _add_errors, _gradient, _descend = (
    choose(*loops) for loops in zip(*map(_sums, WIDTHS), strict=True)
)


@part
def forward(lit, masks, background, K, n, W, m, width, z, stride, room):
    """Write z (K, m) = x Wᵀ, neuron by neuron; `room` is for (K, width) numbers."""
    _forward(width, lit, masks_of(masks, K, n), background, K, n, W, room)
    turn(room, width, K, m, z, stride)


@part
def _turn_errors(delta, K, m, width, room):
    """Write Σ_k δ_k and δ example by example, which lies neuron by neuron; 0 beside its m neurons.

    Returns the addresses of both.
    """
    sums, errors = room, room + BYTES * width
    if m < width:
        for place in range(K * width):
            put_number(errors + BYTES * place, types.float32(0))
    turn(delta, K, m, K, errors, width)
    _add_errors(width, errors, K, sums)
    return sums, errors


@part
def gradient(lit, columns, background, K, n, delta, m, width, dW, room):
    """Write ΔW (m, n) = δᵀ x; `room` is for (1 + K + n, width) numbers."""
    sums, errors = _turn_errors(delta, K, m, width, room)
    g, bits = errors + BYTES * K * width, _columns(columns, K, n)
    for start in range(0, n, INPUTS):
        stop, at = min(start + INPUTS, n), BYTES * start * width
        _gradient(width, start, stop, lit, bits, background, K, n, errors, sums, g + at)
    turn(g, width, n, m, dW, n)


@part
def learn(
    lit, columns, background, K, n, delta, m, width,
    rule, W, first_slot, second_slot, factors, constants, room,
):  # fmt: skip
    """Update a panel W (n, width) with δᵀ x; `room` is for (1 + K + INPUTS, width) numbers."""
    sums, errors = _turn_errors(delta, K, m, width, room)
    bits, g = _columns(columns, K, n), errors + BYTES * K * width
    if rule == SGD and K <= FEW:
        rate, shrink = types.float32(factors[0]), types.float32(1 - factors[0] * constants[0])
        _descend(width, lit, bits, background, K, n, errors, sums, W, rate, shrink)
        return
    for start in range(0, n, INPUTS):
        stop = min(start + INPUTS, n)
        count, at = (stop - start) * width, BYTES * start * width
        if rule != SGD:
            for vector in (W, first_slot, second_slot):  # needed when the gradient is there
                prefetch_all(vector + at, BYTES * count)
        _gradient(width, start, stop, lit, bits, background, K, n, errors, sums, g)
        update(
            rule,
            numba.carray(pointer(W + at), count, np.float32),
            numba.carray(pointer(g), count, np.float32),
            numba.carray(pointer(first_slot + at), count, np.float32),
            numba.carray(pointer(second_slot + at), count, np.float32),
            factors,
            constants,
        )
