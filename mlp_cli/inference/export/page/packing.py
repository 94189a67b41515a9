"""Weights in few bytes: rounded to whole numbers of some bits, with a scale for each row.

A row w of weights becomes whole numbers q and a scale s, so that w ≈ s q and |q| < 2ᵇ⁻¹ for b bits.
The largest error of a weight is s / 2, which is about the row's largest weight / 2ᵇ.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

from mlp_cli.inference.export.plain import Floats, PlainNetwork

MOST_BITS, LEAST_BITS = 16, 8


def rounded_rows(W: Floats, bits: int) -> tuple[NDArray[np.int16], Floats]:
    """Return the whole numbers q (m, n) and the scales (m,) of weights (m, n)."""
    most = 2 ** (bits - 1) - 1
    scales = (np.abs(W).max(axis=1).astype(np.float64) / most).astype(np.float32)
    divisors = np.where(scales > 0, scales, 1)
    # Of a row of tiny weights, the scale is rounded so much that q would be too large.
    q = np.clip(np.rint(W / divisors[:, np.newaxis]), -most, most)
    return q.astype(np.int16), scales


def packed(network: PlainNetwork, bits: int) -> str:
    """Return all weights and biases as text: base64 of bytes that zlib compressed.

    The bytes are the scales of all rows and all biases, both in float32, then the lower bytes of
    all q, and for more than 8 bits their upper bytes. All are little-endian.
    """
    rows = [rounded_rows(W, bits) for W in network.weights]
    scales = np.concatenate([scale for _, scale in rows])
    q = np.concatenate([whole.ravel() for whole, _ in rows])
    parts = [scales.astype("<f4"), np.concatenate(network.biases).astype("<f4")]
    parts.append((q & 255).astype(np.uint8))
    if bits > 8:
        parts.append((q >> 8).astype(np.int8))
    content = b"".join(part.tobytes() for part in parts)
    return base64.b64encode(zlib.compress(content)).decode()
