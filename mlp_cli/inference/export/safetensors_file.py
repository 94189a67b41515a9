"""`.safetensors`: the weights under PyTorch's names, for a `torch.nn.Sequential`.

The modules of the Sequential are `Linear` layers with an activation after each but the last, so the
layers are numbered 0, 2, 4, … Its inputs are pixels from 0 to 1, as PyTorch's users have them.

It needs the library safetensors from the extra of that name, which only this module imports.
"""

from __future__ import annotations

import json

from mlp_cli.inference.export.plain import Floats, plain_network
from mlp_cli.inference.model import Model


def safetensors_bytes(model: Model) -> bytes:
    """Return the content of a file with `0.weight` (m, n), `0.bias` (m,), `2.weight` and so on.

    Raises
    ------
    CheckpointError
        If the weights do not fit into float32.
    """
    from safetensors.numpy import save

    network = plain_network(model, white=1.0)
    tensors: dict[str, Floats] = {}
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        tensors |= {f"{2 * layer}.weight": W, f"{2 * layer}.bias": b}
    about = network.about | {"input": f"{network.inputs} / 255, 0 to 1"}
    # One key: the library writes several in an order that changes from call to call.
    content: bytes = save(tensors, metadata={"about": json.dumps(about)})
    return content
