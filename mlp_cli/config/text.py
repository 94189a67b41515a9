"""Configurations as YAML to read: `mlp config show` and `mlp init`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
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
from mlp_cli.errors import visible

WIDTH = 100  # columns
MARGIN = 32  # columns before a comment, if the value needs no more
LONGEST = 60  # characters of a file and its line in a comment

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


def resolved_text(config: Config, origins: Mapping[str, str], *, only_changed: bool = False) -> str:
    """Return YAML that `load_config` reads as an equal configuration.

    A comment behind each value says where it was given, and the default if it differs. With
    `only_changed`, the values that do not differ are left out.

    Parameters
    ----------
    config, origins
        The configuration, and where its keys were given, as `load_with_origins` returns them.
    only_changed
        Leave out the values that are the defaults.
    """
    data = changed_keys(config) if only_changed else config.to_dict()
    defaults = _defaults(config)
    lines = []
    for key, value in data.items():
        if isinstance(value, dict):
            lines.append((f"{key}:", ""))
            for name, of in value.items():
                note = _note(of, defaults[key][name], origins.get(f"{key}.{name}"))
                lines.append((f"  {dump({name: of}).rstrip()}", note))
        else:
            lines.append(
                (dump({key: value}).rstrip(), _note(value, defaults[key], origins.get(key)))
            )
    column = min(max((len(line) for line, _ in lines), default=0), MARGIN)
    text = "".join(f"{line:<{column}}{note}".rstrip() + "\n" for line, note in lines)
    return text or "{}\n"


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


def _note(value: Any, default: Any, origin: str | None) -> str:
    """Return the comment behind a value."""
    parts = [visible(origin)[-LONGEST:]] if origin else []
    if value != default:
        parts.append(f"default: {shown(default)}")
    return f"  # {'; '.join(parts) or 'default'}"


def _entry(option: Option, given: dict[str, Any], default: Any) -> str:
    """Return the lines of a key: its explanation, and its value or, commented out, its default."""
    key = option.key.rpartition(".")[2]
    lines = [f"# {line}\n" for line in explanation(option, WIDTH - 4)]
    plain = list(default) if isinstance(default, tuple) else default
    setting = dump({key: given[key]}) if key in given else f"#{dump({key: plain})}"
    return "".join([*lines, setting])
