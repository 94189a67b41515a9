"""The keys of a configuration explained on a terminal: some of them, or all in an overview."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.describe import Option, options
from mlp_cli.config.hints import SECTIONS, nearest_key
from mlp_cli.errors import ConfigError, visible

WIDTH = 80  # columns
NARROWEST = 20  # columns of a meaning


def overview(width: int = WIDTH) -> str:
    """Return a line of `width` columns for each key, with the start of its meaning."""
    found = options()
    column = max(len(option.key) for option in found) + 2
    room = max(width - column, NARROWEST)
    return "\n".join(
        f"{option.key:<{column}}{textwrap.shorten(option.description, room, placeholder=' …')}"
        for option in found
    )


def explain(names: Sequence[str], width: int = WIDTH) -> str:
    """Return meaning, default and allowed values of keys, in lines of at most `width` columns.

    The name of a section means all its keys.

    Raises
    ------
    ConfigError
        If a name is neither a key nor a section. The message lists all such names.
    """
    known = {option.key: option for option in options()}
    unknown = [name for name in names if name not in known and name not in SECTIONS]
    if unknown:
        texts = (nearest_key(tuple(name.split("."))) for name in unknown)
        raise ConfigError(
            "\n".join(f"{visible(name)}: {text}" for name, text in zip(unknown, texts, strict=True))
        )
    wanted = [key for name in names for key in known if key == name or key.startswith(f"{name}.")]
    return "\n\n".join(
        "\n".join([key, *(f"  {line}" for line in explanation(known[key], width - 2))])
        for key in wanted
    )


def explanation(option: Option, width: int) -> Iterator[str]:
    """Yield lines of at most `width` columns with the meaning, default and allowed values of a key.

    A key that only some choices have names them. A key that chooses explains its choices.
    """
    section, _, name = option.key.rpartition(".")
    choices = CHOICES.get(section, {})
    owners = [choice for choice, model in choices.items() if name in model.model_fields]
    texts = [
        ("", option.description),
        ("default: ", option.default),
        ("allowed: ", option.allowed),
    ]
    if len(owners) < len(choices):
        texts.append(("only if: ", f"{section}.name is {' or '.join(owners)}"))
    if choices and name == "name":
        texts += [(f"  {choice}: ", _choice(section, choice)) for choice in choices]
    for start, text in texts:
        yield from textwrap.wrap(
            text, width, initial_indent=start, subsequent_indent=" " * len(start)
        )


def _choice(section: str, choice: str) -> str:
    """Return what a choice is, and the keys that not every choice of the section has."""
    models = CHOICES[section].values()
    model = CHOICES[section][choice]
    own = [key for key in model.model_fields if not all(key in of.model_fields for of in models)]
    meaning = str(model.__doc__)
    return f"{meaning} Its keys: {', '.join(own)}." if own else meaning
