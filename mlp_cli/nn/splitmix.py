"""SplitMix64: 64 well-mixed bits for each number of a sequence (Steele, Lea and Flood, 2014).

A random number here is a function of its place and of a key. So it does not matter which thread
draws it, or in which order.
"""

from __future__ import annotations

import math

import numpy as np

from mlp_cli.nn.buffers import Bits

GOLDEN, MIX = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SHIFTS = (30, 27, 31)


def mix(places: Bits, key: Bits, s: Bits, t: Bits) -> None:
    """Write the bits of the numbers `places` under a key (1,) to s; t is scratch."""
    np.multiply(places, np.uint64(GOLDEN), out=s)
    np.add(s, key, out=s)
    for shift, factor in zip(SHIFTS, (*MIX, None), strict=True):
        np.right_shift(s, np.uint64(shift), out=t)
        np.bitwise_xor(s, t, out=s)
        if factor is not None:
            np.multiply(s, np.uint64(factor), out=s)


def dropout_threshold(p: float) -> int:
    """Return how many of 65,536 equally likely numbers a dropout of p drops."""
    return round(65536 * p)


def noise_spacing(deviation: float) -> float:
    """Return half the distance between neighbours of 65,536 even numbers of this deviation."""
    return math.sqrt(3) * deviation / 32768
