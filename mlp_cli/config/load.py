"""Read a file and `--set` changes into a checked `Config`, and write a `Config` as YAML.

`reading` gets the text, and `yaml12` parses it. `schema` defines what is allowed, and `checking`
reports the faults.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlp_cli.config.checking import Source
from mlp_cli.config.notes import rate_note
from mlp_cli.config.reading import read
from mlp_cli.config.schema import Config
from mlp_cli.config.shipped import find_config, shipped_name
from mlp_cli.config.yaml12 import dump, parse
from mlp_cli.storage.paths import given_path

__all__ = [
    "Config",
    "differences",
    "dump_config",
    "from_dict",
    "leaves",
    "load_config",
    "load_with_origins",
]


def load_config(
    config: str | os.PathLike[str] | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - the name of the command's option
    warn: Callable[[str], object] | None = None,
) -> Config:
    """Read and check a configuration, with changes.

    Parameters
    ----------
    config
        A YAML file, the name of a shipped configuration, a mapping, or a `Config`.
    overrides
        Changes of the form `training.epochs=3`, whose values are YAML.
    set
        Changes by dotted key, as in `{"training.epochs": 3}`. A mapping as a value changes only the
        keys that it names. A later change wins.
    warn
        Called with each warning about what is allowed but probably not meant: a value that stays
        although a change replaces what it was given for, and a learning rate far from the usual
        ones. If it is None, these are warnings of Python.

    Raises
    ------
    ConfigError
        If the file is missing, or if it or a change has faults. The message lists all of them.
    StorageError
        If the file cannot be read.
    """
    if isinstance(config, Config):
        source = Source("the configuration")
        source.add_data(config.to_dict())
    elif isinstance(config, Mapping):
        source = Source("the configuration")
        source.add_data(_plain(config))
    else:
        file = find_config(given_path(config))
        source = Source(str(file))
        source.add_file(parse(read(file)))
    return _with_changes(source, overrides, set or {}, warn)


def load_with_origins(
    file: Path, overrides: Sequence[str], warn: Callable[[str], object]
) -> tuple[Config, dict[str, str]]:
    """Do as `load_config` does with a file; return also where its keys were given.

    This is `FILE:LINE` or `--set` by dotted key. A key that was not given is left out. In place of
    a shipped file stands `shipped NAME`.

    Raises
    ------
    ConfigError, StorageError
        As `load_config`.
    """
    source = Source(shipped_name(file) or str(file))
    source.add_file(parse(read(file)))
    config = _with_changes(source, overrides, {}, warn)
    return config, {key: origin for key, _ in leaves(config) if (origin := source.origin_of(key))}


def _with_changes(
    source: Source,
    overrides: Sequence[str],
    changes: Mapping[str, Any],
    warn: Callable[[str], object] | None,
) -> Config:
    for number, change in enumerate(overrides):
        source.add_change(number, change)
    for number, (key, value) in enumerate(changes.items()):
        source.add_value(number, key, _plain(value))
    checked = source.config()
    for note in filter(None, (source.kept_note(), rate_note(checked))):
        if warn is None:
            warnings.warn(note, stacklevel=3)
        else:
            warn(note)
    return checked


def _plain(value: Any) -> Any:
    """Return a value of Python as plain data, as YAML would give it."""
    if isinstance(value, Mapping):
        return {key: _plain(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(of) for of in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") else value  # a number of NumPy


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
    """Return the dotted keys in which two configurations of a training differ.

    Keys that only one of them has are left out, because the `name` of their section differs too; so
    are those of `logging`, which do not change the training.
    """
    ours, theirs = dict(leaves(a)), dict(leaves(b))
    same = {key for key in ours if key not in theirs or ours[key] == theirs[key]}
    return [key for key in ours if key not in same and not key.startswith("logging.")]


def leaves(config: Config) -> Iterator[tuple[str, Any]]:
    """Yield each dotted key of a configuration with its value."""
    yield from _leaves(config.to_dict(), "")


def _leaves(data: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
