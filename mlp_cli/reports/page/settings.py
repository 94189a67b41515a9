"""What a page says about the configuration of a run, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlp_cli.config.describe import options
from mlp_cli.config.load import leaves
from mlp_cli.config.schema import Config
from mlp_cli.config.text import changed_keys, resolved_text
from mlp_cli.reports.comparison import value_text


class Setting(NamedTuple):
    """A key of a configuration: its value and its default as text, and its meaning."""

    key: str
    value: str
    default: str
    meaning: str
    is_changed: bool


class Repeat(NamedTuple):
    """How to train a run again: a configuration, and commands for a shell."""

    config: str
    commands: str


def settings(config: Config) -> list[Setting]:
    """Return every key of a configuration, those that differ from their defaults first."""
    known = {option.key: option for option in options()}
    changed = changed_keys(config)
    found = []
    for key, value in leaves(config):
        section, _, name = key.rpartition(".")
        is_changed = name in (changed.get(section, {}) if section else changed)
        option = known[key]
        text = value_text(value)
        found.append(Setting(key, text, option.default, option.description, is_changed))
    return sorted(found, key=lambda setting: not setting.is_changed)


def repeat(config: Config, environment: Mapping[str, Any], run: Path) -> Repeat:
    """Return how to repeat a run on a machine like that of its record `environment`."""
    kernels = environment.get("kernels", "")
    extra = "[mkl]" if "mkl" in kernels else "[fast]" if kernels.startswith("numba") else ""
    needs = [f"mlp-cli{extra}"]
    if version := environment.get("mlp"):
        needs[0] += f"=={version}"
    if version := environment.get("numpy"):
        needs.append(f"numpy=={version}")
    train = ["mlp", "train", "config.yaml", "--out", "again"]
    if environment.get("threads", "").isdecimal():
        train += ["--threads", environment["threads"]]
    start = f"MLP_KERNELS={'fast' if extra else 'numpy'} " if kernels else ""
    lines = [shlex.join(["pip", "install", *needs]), f"{start}{shlex.join(train)}"]
    if config.data.test:
        lines.append("mlp eval again")
    lines.append(shlex.join(["mlp", "compare", str(run), "again"]))
    return Repeat(resolved_text(config, {}, only_changed=True), "\n".join(lines))
