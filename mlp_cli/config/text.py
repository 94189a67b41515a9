"""Configurations as YAML to read: `mlp config show` and `mlp init`."""

from __future__ import annotations

import textwrap
from typing import Any

from mlp_cli.config.choices import CHOICES, DEFAULT_NAMES
from mlp_cli.config.describe import Option, options
from mlp_cli.config.explain import explanation
from mlp_cli.config.load import load_config
from mlp_cli.config.reading import read
from mlp_cli.config.schema import Config
from mlp_cli.config.sections import Section
from mlp_cli.config.shipped import default_config_file
from mlp_cli.config.wording import shown
from mlp_cli.config.yaml12 import dump, parse

WIDTH = 100  # columns

INTRODUCTION = """\
# A configuration for `mlp train`. The lines without # are those of the shipped `mnist`.
# Above each key stand its meaning and the allowed values. A key with a # before it has its default:
# remove the # to set it. `mlp config explain KEY` says what a key means, too.
"""


def changed_keys(config: Config) -> dict[str, Any]:
    """Return the keys of a configuration that differ from their defaults, with their sections.

    The defaults are those of the chosen optimizer, schedule and activation.
    """
    defaults = _defaults(config)
    return {
        key: _changed(value, defaults[key]) if isinstance(value, dict) else value
        for key, value in config.to_dict().items()
        if value != defaults[key]
    }


def resolved_text(config: Config, *, only_changed: bool = False) -> str:
    """Return YAML that `load_config` reads as an equal configuration.

    Each value that differs from its default has a comment with the default. With `only_changed`,
    the other values are left out.
    """
    data = changed_keys(config) if only_changed else config.to_dict()
    defaults = _defaults(config)
    lines = []
    for key, value in data.items():
        if isinstance(value, dict):
            lines.append(f"{key}:\n")
            for name, of in value.items():
                lines.append(textwrap.indent(_setting(name, of, defaults[key][name]), "  "))
        else:
            lines.append(_setting(key, value, defaults[key]))
    return "".join(lines) or "{}\n"


def starting_text() -> str:
    """Return a commented configuration to start from: the default one, with all other keys.

    The other keys are commented out, with their defaults, by a `#` without a blank after it.
    """
    file = default_config_file()
    given = parse(read(file)).value
    config = load_config(file)
    known = {option.key: option for option in options()}
    parts = [INTRODUCTION]
    for key, field in Config.model_fields.items():
        section = getattr(config, key)
        if isinstance(section, Section):
            entries = [
                _entry(known[f"{key}.{name}"], given.get(key, {}), of.default)
                for name, of in type(section).model_fields.items()
            ]
            body = textwrap.indent("\n".join(entries), "  ")
            parts.append(f"{key}:\n{body}")
        else:
            parts.append(_entry(known[key], given, field.default))
    return "\n".join(parts)


def _defaults(config: Config) -> dict[str, Any]:
    """Return the defaults for the choices that a configuration makes, and those of the choices."""
    chosen = {section: {"name": getattr(config, section).name} for section in CHOICES}
    activation = {"activation": config.model.activation}
    defaults = Config.model_validate({**chosen, "model": activation}).to_dict()
    for section, name in DEFAULT_NAMES.items():
        defaults[section]["name"] = name
    defaults["model"]["activation"] = Config().model.activation
    return defaults


def _changed(section: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value != defaults[name]}


def _setting(key: str, value: Any, default: Any) -> str:
    line = dump({key: value})
    return line if value == default else f"{line.rstrip()}  # default: {shown(default)}\n"


def _entry(option: Option, given: dict[str, Any], default: Any) -> str:
    """Return the lines of a key: its explanation, and its value or, commented out, its default."""
    key = option.key.rpartition(".")[2]
    lines = [f"# {line}\n" for line in explanation(option, WIDTH - 4)]
    plain = list(default) if isinstance(default, tuple) else default
    setting = dump({key: given[key]}) if key in given else f"#{dump({key: plain})}"
    return "".join([*lines, setting])
