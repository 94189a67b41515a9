"""The distributions of the first weights, in a registry under the names that a configuration uses.

Shapes: a layer has n inputs and m neurons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Initialiser(NamedTuple):
    """How the first weights of a layer are drawn; biases are 0, or N(0, 1) as Nielsen's are."""

    deviation: Callable[[int, int], float]  # of w, from (m, n)
    uniform: bool = False
    normal_biases: bool = False


def _he(m: int, n: int) -> float:
    return math.sqrt(2 / n)  # He et al. (2015), equation 10


def _glorot(m: int, n: int) -> float:
    return math.sqrt(2 / (m + n))  # Glorot and Bengio (2010), equation 12


def _lecun(m: int, n: int) -> float:
    return math.sqrt(1 / n)  # LeCun et al. (1998), Efficient BackProp, equation 16


INITIALISERS = {
    "he_normal": Initialiser(_he),
    "he_uniform": Initialiser(_he, uniform=True),
    "glorot_normal": Initialiser(_glorot),
    "glorot_uniform": Initialiser(_glorot, uniform=True),
    "lecun_normal": Initialiser(_lecun),
    "lecun_uniform": Initialiser(_lecun, uniform=True),
    "nielsen": Initialiser(_lecun, normal_biases=True),  # his chapter 3
    "nielsen_large": Initialiser(lambda m, n: 1.0, normal_biases=True),  # his chapter 1
}
