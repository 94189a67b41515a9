"""Read a file and `--set` changes into a checked `Config`, and write a `Config` as YAML.

`yaml12` reads the text, `schema` defines what is allowed, and `checking` reports the faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlp_cli.config.checking import Source
from mlp_cli.config.schema import Config
from mlp_cli.config.yaml12 import dump, parse, read

__all__ = ["Config", "differences", "dump_config", "from_dict", "load_config"]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration from a file, with changes of the form `training.epochs=3`.

    A change's value is YAML. A mapping changes only the keys that it names. A later change wins.

    Raises
    ------
    ConfigError
        If the file is missing, or if it or a change has faults. The message lists all of them.
    StorageError
        If the file cannot be read.
    """
    source = Source(str(path))
    source.add_file(parse(read(Path(path))))
    for number, change in enumerate(overrides):
        source.add_change(number, change)
    return source.config()


def from_dict(data: Any, origin: str) -> Config:
    """Check a configuration that is stored elsewhere; messages name that place by `origin`.

    Raises
    ------
    ConfigError
        If anything in it is wrong.
    """
    source = Source(origin)
    source.add_data(data)
    return source.config()


def dump_config(config: Config) -> str:
    """Return YAML that `load_config` reads as an equal configuration. Defaults are included."""
    return dump(config.to_dict())


def differences(a: Config, b: Config) -> list[str]:
    """Return the dotted keys in which two configurations differ.

    Keys that only one of them has are left out, because the `name` of their section differs too.
    """
    ours, theirs = dict(_leaves(a.to_dict())), dict(_leaves(b.to_dict()))
    return [key for key in ours if key in theirs and ours[key] != theirs[key]]


def _leaves(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
