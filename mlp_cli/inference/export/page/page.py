"""`.html`: a page to draw on, which runs the network in the browser.

The page is one file. Its scripts, style and weights stand in it, and its policy allows nothing
else: it loads nothing and sends nothing. Texts of the checkpoint stand in a block of JSON, which
the scripts show as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from mlp_cli.errors import visible
from mlp_cli.inference.export.page.packing import LEAST_BITS, MOST_BITS, packed
from mlp_cli.inference.export.plain import MARK, PlainNetwork, plain_network
from mlp_cli.inference.model import Model
from mlp_cli.inference.predict import DIGITS, UNSURE
from mlp_cli.nn.normal import MILLS, MILLS_CENTRE

LARGEST = 1_000_000  # bytes of a page, if 8 bits a weight allow that
SCRIPTS = (
    "windows.js",
    "components.js",
    "ruling.js",
    "ink.js",
    "digits.js",
    "digit.js",
    "prepare.js",
    "reading.js",
    "network.js",
    "drawing.js",
    "showing.js",
    "main.js",
)
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='3' fill='%232450d8'/%3E"
    "%3Cpath d='M5 4h6L7 12' fill='none' stroke='white' stroke-width='2'/%3E%3C/svg%3E"
)
AS_MNIST = (
    "A picture is prepared as the images of MNIST were made: its ink is found, cropped, brought to "
    "the size and the strokes of MNIST's digits, and centred by its mass."
)
AS_IT_IS = (
    "The network was not trained on MNIST. So a picture is only scaled to the size of its images, "
    "and not cropped, centred or inverted."
)


def html_bytes(model: Model) -> bytes:
    """Return the content of the page.

    The weights are rounded to as many bits, from 16 down to 8, as fit into `LARGEST` bytes.

    Raises
    ------
    CheckpointError
        If the weights do not fit into float32.
    """
    network = plain_network(model, white=1.0)
    digits = model.data.name in DIGITS

    def page(bits: int) -> bytes:
        return _filled(_data(network, model.names, digits, bits), digits).encode()

    low, high = LEAST_BITS, MOST_BITS
    while low < high:
        middle = (low + high + 1) // 2
        if len(page(middle)) <= LARGEST:
            low = middle
        else:
            high = middle - 1
    return page(low)


def _data(network: PlainNetwork, names: Sequence[str], digits: bool, bits: int) -> dict[str, Any]:
    """Return what the scripts know of a network; `names` are those of its classes, if any."""
    about = network.about
    rounding = f"rounded to {bits} bits, so that probabilities may differ slightly"
    shown = [
        ("Layers", about["layers"]),
        ("Activation", about["activation"]),
        ("Loss", about["loss"]),
        ("Trained on", about["data"]),
        ("Image", about["image"]),
        ("Checkpoint", f"{about['checkpoint']}, epoch {about['epoch']}"),
        ("Weights", rounding),
        ("Written by", about["written_by"].removeprefix("Written by ")),
    ]
    return {
        "summary": f"{about['layers']} · {about['activation']} · trained on {about['data']}",
        "about": shown,
        "sizes": network.sizes,
        "names": list(map(visible, names)),
        "imageShape": network.image_shape,
        "activation": network.activation,
        "negativeSlope": network.negative_slope,
        "mills": {"coefficients": MILLS["float64"], "centre": MILLS_CENTRE},
        "loss": network.loss,
        "preparation": "mnist" if digits else "scaled",
        "unsure": UNSURE,
        "bits": bits,
        "packed": packed(network, bits),
    }


def _filled(data: dict[str, Any], digits: bool) -> str:
    """Return the page with its scripts, style and data."""
    folder = files(__package__)
    style = (folder / "page.css").read_text("utf-8")
    sources = [(folder / name).read_text("utf-8") for name in SCRIPTS]
    script = '"use strict";\n' + "\n".join(sources)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        mark=MARK,
        policy=policy,
        title="Draw a digit" if digits else "Draw a picture",
        invitation="Draw a digit here" if digits else "Draw here",
        remark=AS_MNIST if digits else AS_IT_IS,
        icon=ICON,
        style=style,
        script=script,
        data=json.dumps(data).replace("<", "\\u003c"),
    )


def _hash(text: str) -> str:
    """Return what a content security policy allows an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
