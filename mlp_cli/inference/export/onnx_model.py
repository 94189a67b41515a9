"""`.onnx`: the network from pixels to probabilities, for ONNX Runtime and others.

It needs the libraries of the extra `onnx`, which only this module imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli._version import __version__
from mlp_cli.errors import CheckpointError
from mlp_cli.inference.export.plain import PlainNetwork, plain_network
from mlp_cli.inference.model import Model
from mlp_cli.nn.buffers import Pixels

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

OPSET = 20  # the first that has Gelu
IR_VERSION = 9  # of the file; the one that came with this opset
LARGEST = 2**31 - 2**20  # bytes of weights, in a file that may have 2 GiB
BATCH = 1000  # images that the runtime is given at once

# The operator of an activation. silu needs two, and leaky_relu has a slope.
OPERATORS = {
    "relu": "Relu",
    "elu": "Elu",
    "softplus": "Softplus",
    "gelu": "Gelu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "identity": "Identity",
}


def onnx_bytes(model: Model) -> bytes:
    """Return the content of an `.onnx` file.

    Its input is `pixels`, uint8 (n, height, width). Its outputs are `logits`, which are z of the
    last layer, and `probabilities`, both float32 (n, classes).

    Raises
    ------
    CheckpointError
        If the weights do not fit into float32, or into a file of this format.
    """
    from onnx import TensorProto, helper  # the import is slow, and needs the extra

    network = plain_network(model)
    if 4 * sum(array.size for array in network.weights + network.biases) > LARGEST:
        raise CheckpointError(
            f"{model.path}: its weights have more than the 2 GiB that an .onnx file may have. "
            "Use another format."
        )
    nodes, tensors = _layers(network)
    classes = network.sizes[-1]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["images", classes])
        for name in ("logits", "probabilities")
    ]
    shape = ["images", *network.image_shape]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)
    made = helper.make_model(
        helper.make_graph(nodes, "network", [pixels], outputs, tensors),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mlp-cli",
        producer_version=__version__,
        doc_string=network.about["written_by"],
    )
    helper.set_model_props(made, network.about)
    content: bytes = made.SerializeToString()
    return content


def run_onnx(content: bytes, images: Pixels) -> NDArray[np.float32]:
    """Return what ONNX Runtime computes from a file for images (n, height, width): (n, classes)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # more would be tied to cores that the process may not use
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.concatenate(
        [
            session.run(["probabilities"], {"pixels": images[start : start + BATCH]})[0]
            for start in range(0, len(images), BATCH)
        ]
    )


def _layers(network: PlainNetwork) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the nodes from `pixels` to `logits` and `probabilities`, and the weights."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[NodeProto] = []
    tensors: list[TensorProto] = []

    def add(operator: str, *inputs: str, output: str = "", **options: Any) -> str:
        """Add a node, and return the name of its output."""
        output = output or f"{operator.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [output], **options))
        return output

    def activate(z: str) -> str:
        if network.activation == "silu":
            return add("Mul", z, add("Sigmoid", z))
        if network.activation == "leaky_relu":
            return add("LeakyRelu", z, alpha=network.negative_slope)
        return add(OPERATORS[network.activation], z)

    a = add("Cast", add("Flatten", "pixels", axis=1), to=TensorProto.FLOAT)
    last = len(network.weights) - 1
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        names = f"layers.{layer}.weight", f"layers.{layer}.bias"
        tensors += map(numpy_helper.from_array, (W, b), names)
        z = add("Gemm", a, *names, output="logits" if layer == last else "", transB=1)
        a = activate(z) if layer < last else z
    scores = a
    if network.loss == "mse":  # log σ(z); the probabilities are the sigmoids, divided by their sum
        scores = add("Neg", add("Softplus", add("Neg", a)))
    add("Softmax", scores, output="probabilities", axis=1)
    return nodes, tensors
