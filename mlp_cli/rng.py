"""Random numbers as functions of their arguments: no state is shared, and none is kept.

What is drawn for one purpose at one place is the same whoever draws it and whatever was drawn
before, so a resumed training draws what a training that never stopped would have drawn.
"""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, purpose: str, *position: int) -> np.random.Generator:
    """Return the random numbers of one purpose at one position, a function of its arguments alone.

    Purposes are independent streams: drawing more for one changes no other.
    """
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, key, *position])))
