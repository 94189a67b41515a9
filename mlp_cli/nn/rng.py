"""Random generators that depend on their arguments alone: no state is shared or kept.

The random numbers for one purpose and position do not depend on what was drawn before. So a resumed
training draws the same numbers as a training that was never interrupted.
"""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, purpose: str, *position: int) -> np.random.Generator:
    """Return a generator for one purpose (such as "order") and position (such as an epoch).

    Equal arguments give equal random numbers. Different arguments give independent ones, so drawing
    more for one purpose changes nothing for another.
    """
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, key, *position])))
