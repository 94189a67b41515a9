"""What a page says about the weights of a network, and the gradient at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mlp_cli.data.batches import BatchReader
from mlp_cli.data.dataset import Dataset
from mlp_cli.inference.model import Model
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.buffers import Array, columns_first
from mlp_cli.reports.figures import side_by_side
from mlp_cli.reports.page.pictures import weight_image
from mlp_cli.reports.tables import Column

MOST_NEURONS = 45
BATCH = 256  # training images of the gradient


class FirstWeights(NamedTuple):
    """The weights into some neurons of the first layer: their numbers and data URIs, of n."""

    pictures: Sequence[tuple[int, str]]
    n: int


def first_weights(model: Model) -> FirstWeights:
    """Return pictures of the weights into the first layer's neurons, those of the largest norm.

    The weights of several views are side by side.
    """
    W = model.network.weights[0]
    largest = np.argsort(-np.linalg.norm(W, axis=1), kind="stable")[:MOST_NEURONS]
    pictures = [
        (int(i), weight_image(side_by_side(W[i], model.image_shape))) for i in sorted(largest)
    ]
    return FirstWeights(pictures, len(W))


def norms_table(model: Model, gradients: Sequence[Array] | None) -> list[Column]:
    """Return the columns of a table of the norms of each layer.

    `gradients` are ΔW (m, n) of each layer, None if they are not known.
    """
    network = model.network
    weights = [_norm(W) for W in network.weights]
    columns = [
        Column("layer", [str(number) for number in range(1, len(weights) + 1)]),
        Column("shape of W", [f"{m} × {n}" for m, n in (W.shape for W in network.weights)]),
        Column("‖W‖", [f"{norm:.4g}" for norm in weights]),
        Column("‖b‖", [f"{_norm(b):.4g}" for b in network.biases]),
    ]
    if gradients is not None:
        found = [_norm(gradient) for gradient in gradients]
        columns.append(Column("‖ΔW‖", [f"{norm:.2e}" for norm in found]))
        ratios = [g / w if w else math.inf for g, w in zip(found, weights, strict=True)]
        columns.append(Column("‖ΔW‖ / ‖W‖", [f"{ratio:.2e}" for ratio in ratios]))
    return columns


def batch_gradients(model: Model, dataset: Dataset) -> tuple[int, list[Array]]:
    """Return the size K of a batch, and ΔW (m, n) of each layer for it.

    The batch is the first training images. The cost is their mean loss: nothing else is added.
    """
    network, train = model.network, dataset.train
    K = min(BATCH, len(train))
    reader = BatchReader(train, model.classes, model.scaling, K, network.dtype)
    reader.rows[:] = train.rows[:K]
    x = reader.read(0, K)
    passes = Backpropagation(network, K)
    with np.errstate(over="ignore", invalid="ignore"):  # of weights that are very large
        passes(x, reader.y, columns_first(K, model.classes, network.dtype))
    return K, list(passes.weight_gradients)


def _norm(of: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.linalg.norm(of.astype(np.float64)))
