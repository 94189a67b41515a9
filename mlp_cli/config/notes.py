"""What a configuration allows but its author probably does not want, said as warnings.

`kept_note` reports values that were given for a choice which a change replaces. `rate_note` reports
a learning rate far from what its optimizer is used with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, get_args

from mlp_cli.config.choices import CHOICES, DEFAULT_NAMES, SGDConfig
from mlp_cli.config.lines import as_changes
from mlp_cli.config.model_section import ActivationName, ModelConfig
from mlp_cli.config.schema import Config, LossName
from mlp_cli.config.wording import shown

# For each choice, the key or the section whose values are usually chosen for it. `null` gives each
# of these keys the default of the choice.
DEPENDENT = {
    **{f"{section}.name": section for section in CHOICES},
    "model.activation": "model.init",
    "loss": "optimizer.learning_rate",
}
# For each choice, its default and all its names.
CHOSEN: dict[str, tuple[str, Collection[str]]] = {
    **{f"{section}.name": (name, CHOICES[section]) for section, name in DEFAULT_NAMES.items()},
    "model.activation": (ModelConfig().activation, get_args(ActivationName)),
    "loss": (Config().loss, get_args(LossName)),
}
NO_KEY = object()


class _Change(NamedTuple):
    """A choice that changes replace: its key, and its name before and after."""

    key: str
    old: str
    new: str


def kept_note(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    place: Callable[[str], str | None],
    *,
    python: bool,
) -> str:
    """Return which values stay although changes replace the choice they were given for, or "".

    The note ends with the changes that take all defaults of the new choices, as one line. These
    include keys that the new choice does not have, which are faults of their own.

    Parameters
    ----------
    before, after
        The data without and with the changes. They may hold faults.
    place
        Returns where the value of a key was given, or None if a change gives it.
    python
        Whether the line is the argument `set` of Python, not options `--set`.
    """
    notes, resets, foreign = [], dict[str, None](), 0
    for change in _changes(before, after):
        kept = []
        for key, value in _dependent_values(change.key, after):
            given = place(key)
            if given is None or value is None:
                continue
            default = _default(key, after)
            if value == default:
                continue
            resets[key] = None
            if default is NO_KEY:
                foreign += 1
            else:
                kept.append(f"{key} {shown(value)} ({given}; the default is {shown(default)})")
        if kept:
            notes.append(
                f"{change.key} changes from {change.old} to {change.new}, but what was given for "
                f"{change.old} stays: {', '.join(kept)}."
            )
    if not notes and foreign < 2:
        return ""
    line = as_changes(resets, python=python)
    return " ".join([*notes, f"To take the defaults, add {line}."])


def rate_note(config: Config) -> str:
    """Return a warning about a learning rate far from what its optimizer is used with, or ""."""
    rule = config.optimizer
    lowest, highest = rule.usual_rates
    if isinstance(rule, SGDConfig) and config.loss == "mse":
        highest *= 4  # the sigmoid outputs shrink the gradient by their derivative, at most 1/4
    if lowest <= rule.learning_rate <= highest:
        return ""
    side, result = "below", "hardly learn"
    if rule.learning_rate > highest:
        side, result = "above", "learn badly or diverge"
    default = type(rule).model_fields["learning_rate"].default
    return (
        f"optimizer.learning_rate {rule.learning_rate:g} is far {side} the usual rates of "
        f"{rule.name}, {lowest:g} to {highest:g}, so the network will probably {result}. "
        f"The default is {default:g}."
    )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[_Change]:
    """Yield the choices that differ and whose new name exists."""
    for key, (default, names) in CHOSEN.items():
        old, new = (_value(data, key) or default for data in (before, after))
        if old != new and isinstance(old, str) and isinstance(new, str) and new in names:
            yield _Change(key, old, new)


def _dependent_values(choice: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the given keys that depend on a choice, with their values."""
    key = DEPENDENT[choice]
    value = _value(data, key)
    if key in CHOICES:
        for name, part in value.items() if isinstance(value, Mapping) else ():
            if name != "name":
                yield f"{key}.{name}", part
    else:
        yield key, value


def _value(data: Any, key: str) -> Any:
    for name in key.split("."):
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _default(key: str, data: Mapping[str, Any]) -> Any:
    """Return the default of a key with the choices in `data`, or `NO_KEY` if they do not have it.

    If such a choice does not exist, which is a fault of its own, it is the present value.
    """
    section, _, name = key.rpartition(".")
    if section not in CHOICES:
        activation = _value(data, "model.activation") or ModelConfig().activation
        return ModelConfig.model_validate({"activation": activation}).init
    chosen = _value(data, f"{section}.name") or DEFAULT_NAMES[section]
    if chosen not in list(CHOICES[section]):
        return _value(data, key)
    fields = CHOICES[section][chosen].model_fields
    return fields[name].default if name in fields else NO_KEY
