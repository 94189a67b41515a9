"""The tail of the standard normal distribution, as a polynomial that both kernels evaluate.

For w ≥ 0, the tail is Φ(−w) = φ(w) M(w), with the density φ(w) = exp(−w²/2) / √(2π). Mills' ratio M
falls smoothly from √(π/2) to about 1/w, so that one polynomial serves all w, and the tail keeps its
relative precision: where erf is nearly ±1, 1 ± erf has lost it.

    M(w) = √(π/2) exp(w²/2) erfc(w/√2) ≈ (1 − t) P(t),    t = (w − 5) / (w + 5)

P interpolates M(w) / (1 − t) at Chebyshev's nodes, for w up to where φ(w) is nearly 0 in a type:
13.5 in float32, 38 in float64. Its error is below that of rounding.
"""

from __future__ import annotations

import math

MILLS_CENTRE = 5.0  # t = 0 at this w
DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)

# The coefficients of P by the type of t, from the highest power down.
MILLS = {
    "float32": (
        9.4212207429e-5, -2.6053537939e-4, -7.514429987e-4, 5.2375214038e-3, -1.7320525208e-2,
        4.1360861676e-2, -7.859182458e-2, 1.2415489579e-1, -1.6678663836e-1, 1.9280810293e-1,
    ),
    "float64": (
        5.6230810201841426454e-10, 1.9268809811802737323e-9, -2.6592059681999610994e-9,
        -1.6745801894470667683e-8, 1.0943634359053636e-8, 1.0892691395930810678e-7,
        -8.4563354582270678473e-8, -6.9442812803265915328e-7, 9.9791169480627667849e-7,
        4.1814840990686306779e-6, -1.2473688899252847639e-5, -1.4883321751194471836e-5,
        1.3658593783364356006e-4, -1.9999619374683635616e-4, -7.5032828435878756107e-4,
        5.2125502408059196305e-3, -1.7325473408583603782e-2, 4.1364471573291003196e-2,
        -7.8591107554657934903e-2, 1.241547061573861856e-1, -1.6678665951889597981e-1,
        1.9280810471531576623e-1,
    ),
}  # fmt: skip
