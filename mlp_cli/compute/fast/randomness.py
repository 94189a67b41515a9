"""Loops that draw random numbers, each a function of its place and a key, and that use them."""

from __future__ import annotations

import numpy as np

from mlp_cli.compute.fast.intrinsics import jit
from mlp_cli.nn.splitmix import GOLDEN, MIX, SHIFTS


@jit
def _mixed(place, key):
    s = place * np.uint64(GOLDEN) + key
    s = (s ^ (s >> np.uint64(SHIFTS[0]))) * np.uint64(MIX[0])
    s = (s ^ (s >> np.uint64(SHIFTS[1]))) * np.uint64(MIX[1])
    return s ^ (s >> np.uint64(SHIFTS[2]))


@jit
def dropout_mask(r, bits, drawn, key, first, width, threshold):
    """Fill a mask for dropout: 0 where a number is below the threshold, else 1 / (1 − p)."""
    # `drawn` is the memory of `bits`: four numbers of 16 bits for each number of 64.
    zero, kept = r.dtype.type(0), r.dtype.type(65536 / (65536 - threshold))
    fours = (width + 3) // 4
    for i in range(len(bits)):
        bits[i] = _mixed(np.uint64(first * fours + i), key)
    for line in range(len(r) // width):
        out, numbers = r[line * width :][:width], drawn[line * 4 * fours :][:width]
        for k in range(width):
            out[k] = kept if numbers[k] >= threshold else zero


@jit
def draw_noise(r, bits, drawn, key, first, width, step):
    """Fill uniform noise; `step` is half the distance between neighbouring values."""
    # `drawn` is the memory of `bits`: four numbers of 16 bits for each number of 64.
    real, fours = r.dtype.type, (width + 3) // 4
    half, unit = real(0.5 - 32768), real(step)
    for i in range(len(bits)):
        bits[i] = _mixed(np.uint64(first * fours + i), key)
    for line in range(len(r) // width):
        out, numbers = r[line * width :][:width], drawn[line * 4 * fours :][:width]
        for k in range(width):
            out[k] = (real(numbers[k]) + half) * unit


@jit
def draw_field(noise, bits, drawn, key, first, height, two_k, width):
    """Fill the uniform noise of elastic fields, from −1 to 1."""
    # `drawn` is the memory of `bits`: four numbers of 16 bits for each number of 64.
    real, fours, k = noise.dtype.type, (width + 3) // 4, two_k // 2
    half, unit = real(0.5 - 32768), real(1 / 32768)
    for i in range(height):
        for field in range(two_k):
            image, which = first + field % k, field // k
            start = ((image * 2 + which) * height + i) * fours
            for four in range(fours):
                bits[four] = _mixed(np.uint64(start + four), key)
            out = noise[(i * two_k + field) * width :][:width]
            for j in range(width):
                out[j] = (real(drawn[j]) + half) * unit


@jit
def add(a, r, out):
    """Write a + r."""
    for i in range(len(a)):
        out[i] = a[i] + r[i]


@jit
def multiply(a, r, out):
    """Write a ⊙ r."""
    for i in range(len(out)):
        out[i] = a[i] * r[i]
