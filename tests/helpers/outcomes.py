"""What becomes of a configuration: it is read, or refused by a message."""

from __future__ import annotations

from pathlib import Path

from mlp_cli.config.load import load_config
from mlp_cli.config.schema import Config
from mlp_cli.errors import ConfigError


def outcome(path: Path, *changes: str) -> Config | str:
    """Return the configuration of a file and changes, or the message that refuses them."""
    try:
        return load_config(path, changes, warn=lambda _: None)
    except ConfigError as error:
        return str(error).replace(str(path), "c.yaml")
