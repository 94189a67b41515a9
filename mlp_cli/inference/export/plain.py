"""A trained network as plain arrays: what all formats are written from.

Whatever can be folded into weights is folded, so that z = W a + b and an activation is all that is
left: batch normalisation (`Network.fold`), the scaling of the inputs, and the constants of
scaled_tanh. The arrays are float32, which is what other programs compute with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from mlp_cli._version import __version__
from mlp_cli.errors import CheckpointError, visible
from mlp_cli.inference.model import Model
from mlp_cli.nn.activations import TANH_HEIGHT, TANH_SLOPE

MARK = "Written by mlp export"  # near the start of every file, so that it is known as ours

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PlainNetwork:
    """A network of the layers z = W a + b, with float32 arrays.

    Attributes
    ----------
    weights, biases
        W (m, n) and b (m,) of each layer, from the first to the last.
    activation
        The function of the hidden layers: a key of `ACTIVATIONS`, but never scaled_tanh, which
        becomes tanh.
    negative_slope
        Of leaky_relu.
    loss
        A key of `LOSSES`. It says how the last z gives probabilities: as their softmax with
        cross_entropy; with mse, their sigmoids are divided by the sum of the sigmoids.
    image_shape
        (height, width) of the images. Their pixels, row by row, are the first a.
    inputs
        What the first a are, in words: the pixels of an image, or of several views of it.
    about
        What the network is and where it comes from, by name, as text without control characters.
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    activation: str
    negative_slope: float
    loss: str
    image_shape: tuple[int, int]
    inputs: str
    about: dict[str, str]

    @property
    def sizes(self) -> list[int]:
        """The number of inputs, then of neurons in each layer."""
        return [self.weights[0].shape[1], *map(len, self.biases)]


def plain_network(model: Model, white: float = 255.0) -> PlainNetwork:
    """Return a model as a plain network.

    Parameters
    ----------
    model
        The model.
    white
        The input that stands for a pixel of 255: 255 if the inputs are the pixels themselves.

    Raises
    ------
    CheckpointError
        If the folded weights do not fit into float32.
    """
    network = model.network
    weights = [W.astype(np.float64) for W in network.weights]
    biases = [b.astype(np.float64) for b in network.biases]
    # The model sees input / (white · std) − mean / std.
    mean, std = (np.asarray(value, np.float64) for value in model.scaling[:2])
    with np.errstate(over="ignore", invalid="ignore"):
        biases[0] -= weights[0] @ np.broadcast_to(mean / std, network.sizes[:1])
        weights[0] /= white * std
        activation = network.activation.name
        if activation == "scaled_tanh":  # f(z) = HEIGHT tanh(SLOPE z)
            activation = "tanh"
            for W, b, W_above in zip(weights, biases, weights[1:], strict=False):
                W *= TANH_SLOPE
                b *= TANH_SLOPE
                W_above *= TANH_HEIGHT
        plain = PlainNetwork(
            tuple(W.astype(np.float32) for W in weights),
            tuple(b.astype(np.float32) for b in biases),
            activation,
            network.activation.constant,
            model.config.loss,
            model.image_shape,
            _inputs(model),
            _about(model, activation),
        )
    if not all(np.isfinite(array).all() for array in plain.weights + plain.biases):
        raise CheckpointError(
            f"{model.path}: with the scaling of its inputs, its weights do not fit into float32. "
            "Use another checkpoint, or train again with a lower optimizer.learning_rate."
        )
    return plain


def _inputs(model: Model) -> str:
    """Return what the inputs of a model are, in words."""
    if model.scaling.views is None:
        return "pixels"
    return f"pixels of the views {', '.join(model.config.data.views)}, one view after the other"


def _about(model: Model, activation: str) -> dict[str, str]:
    """Return what a reader of the file may want to know. Of folders it has the last name alone."""
    if activation == "leaky_relu":
        activation += f" with the negative slope {model.network.activation.constant}"
    height, width = model.image_shape
    about = {
        "written_by": f"{MARK} (mlp-cli {__version__})",
        "checkpoint": f"{model.path.absolute().parent.name}/{model.path.name}",
        "epoch": "unknown" if model.epoch is None else str(model.epoch),
        "data": PurePath(model.data.name).name,
        "image": f"{height} x {width} pixels",
        "layers": "-".join(map(str, model.network.sizes)),
        "activation": activation,
        "loss": model.config.loss,
    }
    return {name: visible(text) for name, text in about.items()}
