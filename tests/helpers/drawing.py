"""Configurations that are drawn at random from the whole schema."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from mlp_cli.config.schema import Config

# Values that are not drawn from the schema: sizes that a test has time for, and a rate that seldom
# makes a training diverge.
SIZES: dict[str, Callable[[random.Random], Any]] = {
    "data.path": lambda draw: None,
    "data.validation": lambda draw: draw.choice([0, draw.randint(1, 300)]),
    "data.views": lambda draw: draw.sample(["raw", "upright", "width-12"], draw.randint(1, 3)),
    "logging.tensorboard": lambda draw: False,  # needs an extra
    "model.hidden": lambda draw: [draw.randint(1, 20) for _ in range(draw.randint(0, 3))],
    "optimizer.learning_rate": lambda draw: 10 ** draw.uniform(-4, -1),
    "training.dtype": lambda draw: draw.choice(["float32", "float64"]),  # on every processor
    "training.epochs": lambda draw: draw.randint(2, 8),
    "training.batch_size": lambda draw: int(10 ** draw.uniform(0, 3.5)),
}


def draw_config(draw: random.Random, **data: Any) -> dict[str, Any]:
    """Return a valid configuration with these keys in its section `data`.

    Every other key has its default, or a value that the schema allows, with equal probability.
    """
    schema = Config.model_json_schema()

    def section(properties: dict[str, Any], prefix: str) -> dict[str, Any]:
        return {name: value(f"{prefix}{name}", entry) for name, entry in properties.items()}

    def value(key: str, entry: dict[str, Any]) -> Any:
        if key in SIZES:
            return SIZES[key](draw)
        if "$ref" in entry or "oneOf" in entry:
            name = draw.choice(entry.get("oneOf", [entry]))["$ref"].rpartition("/")[2]
            return section(schema["$defs"][name]["properties"], f"{key}.")
        if "default" in entry and draw.random() < 0.5:
            return entry["default"]
        return _value(draw, draw.choice(entry.get("anyOf", [entry])))

    while True:
        config = section(schema["properties"], "")
        config["data"] |= data
        try:
            return Config.model_validate(config).to_dict()
        except ValidationError:  # keys that do not go together
            pass


def _value(draw: random.Random, entry: dict[str, Any]) -> Any:
    """Draw a value; a number is at most 1 above its lower bound, an integer at most 20."""
    if "const" in entry:
        return entry["const"]
    if "enum" in entry:
        return draw.choice(entry["enum"])
    low = entry.get("minimum", entry.get("exclusiveMinimum"))
    high = entry.get("maximum", entry.get("exclusiveMaximum"))
    match entry["type"]:
        case "null":
            return None
        case "boolean":
            return draw.random() < 0.5
        case "integer":
            return draw.randint(low, low + 20)
        case "number":
            return draw.uniform(low, low + 1 if high is None else min(high, low + 1))
        case "array":
            return sorted(_value(draw, of) for of in entry["prefixItems"])
    raise AssertionError(entry)
