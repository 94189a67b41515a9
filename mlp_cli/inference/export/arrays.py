"""`.npz`: the weights alone, for a few lines of NumPy."""

from __future__ import annotations

import io
import json

import numpy as np

from mlp_cli.inference.export.plain import plain_network
from mlp_cli.inference.model import Model
from mlp_cli.storage.npz import write_npz


def npz_bytes(model: Model) -> bytes:
    """Return the content of an `.npz`: `about`, and each layer's weight (m, n) and bias (m,).

    The inputs are the pixels, 0 to 255, of each view. `about` is JSON in ASCII.

    Raises
    ------
    CheckpointError
        If the weights do not fit into float32.
    """
    network = plain_network(model)
    about = network.about | {"input": f"{network.inputs}, 0 to 255"}
    arrays = {"about": np.array(json.dumps(about).encode())}
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays |= {f"layers.{layer}.weight": W, f"layers.{layer}.bias": b}
    file = io.BytesIO()
    write_npz(file, arrays)
    return file.getvalue()
