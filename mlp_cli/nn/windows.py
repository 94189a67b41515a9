"""First weights that fade with the distance from a place in the image: a window for each neuron.

A fully connected layer does not know which pixels are neighbours, and has to learn it. With a
window, its neurons start as local filters, and training may move every weight as otherwise:

    w_ij ← s_i w_ij exp(−‖r_j − c_i‖² / 2σ²)

r_j is the place of pixel j, and c_i is a place in the middle of the image, drawn for neuron i. s_i
keeps the expected ‖w_i‖. To start at a convolution, and then to train all weights, is an idea of
d'Ascoli, Sagun, Biroli and Bruna, "Finding the Needle in the Haystack with Convolutions", 2019.
"""

from __future__ import annotations

import numpy as np

from mlp_cli.nn.buffers import Array, Numbers

MARGIN = 1 / 7  # of height and width, at each side: MNIST's digits do not lie there
FAINT = 1e-30  # below, weights would be subnormal numbers, which are slow


def put_windows(
    W: Array, image_shape: tuple[int, int], deviation: float, generator: np.random.Generator
) -> None:
    """Multiply each row of W by a window of its own, in place.

    Parameters
    ----------
    W
        (m, n): drawn weights. The n inputs are one image of (height, width), or several views of it
        side by side, and each view gets the same window.
    image_shape
        (height, width).
    deviation
        σ in pixels, at least 0.5, so that no window misses all pixels.
    generator
        Draws the places c_i.
    """
    m = len(W)
    centres = generator.uniform(MARGIN, 1 - MARGIN, (2, m, 1))
    down, across = (_fade(size, c, deviation) for size, c in zip(image_shape, centres, strict=True))
    window = down[:, :, np.newaxis] * across[:, np.newaxis, :]
    window /= np.sqrt(np.square(window).mean(axis=(1, 2), keepdims=True))
    window[window < FAINT] = 0
    views = W.reshape(m, -1, *image_shape)
    views *= window[:, np.newaxis].astype(W.dtype)


def _fade(size: int, centres: Numbers, deviation: float) -> Numbers:
    """Return exp(−(r − c)² / 2σ²) (m, size) along one side, for centres (m, 1) as shares of it."""
    distances = np.arange(size) + 0.5 - centres * size
    fade: Numbers = np.exp(-np.square(distances / deviation) / 2)
    return fade
