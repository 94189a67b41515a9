"""McNemar's exact test: whether two networks differ in their errors on the same images.

Only the images that one network classifies right and the other wrong tell the two apart. If neither
is better, each of these n images is as likely to favour the one as the other, so the number that
favours one of them has the binomial distribution with n and 1/2 (McNemar, Psychometrika 12, 1947).
"""

from __future__ import annotations

LEVEL = 0.05  # p at or above it: not distinguishable


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the two-sided p-value, exactly up to the rounding to a float.

    It is the probability of counts at least as unequal as these, if neither network is better.

    Parameters
    ----------
    only_one, only_other
        The number of images that only the one network, or only the other, classifies right.
    """
    n, fewer = only_one + only_other, min(only_one, only_other)
    ways = total = 1  # of 0 images
    for k in range(fewer):
        ways = ways * (n - k) // (k + 1)  # n over k + 1
        total += ways
    return min(1.0, 2 * total / (1 << n))
