"""What a wrong key or value of a configuration probably means.

`meant` translates names and values of other programs, other spellings, and keys at the wrong place
into keys and values that are allowed. `lines` writes these as lines to paste.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

from pydantic import ValidationError

from mlp_cli.config.choices import CHOICES
from mlp_cli.config.describe import options
from mlp_cli.config.schema import Config
from mlp_cli.config.yaml12 import KeyPath, scalar

SECTIONS = {key for key, field in Config.model_fields.items() if field.default_factory}
MNIST_IMAGES = 60_000

# The words of other programs for a key, or for a whole section.
SYNONYMS = {
    "data.consecutive": "by_writer contiguous group groups writers",
    "data.limit": "limit_train max_samples max_train_samples n_samples n_train num_samples "
    "num_train subset subset_size train_samples train_size",
    "data.path": "root data_root data_path",
    "data.scaling": "normalize normalise normalization standardize",
    "data.stratify": "balanced stratification stratified",
    "data.validation": "val validation_split validation_fraction val_split val_size",
    "distortion": "aug augment augmentation augmentations data_augmentation transform transforms",
    "distortion.rotation": "rotate rotation_range degrees",
    "distortion.scale": "zoom zoom_range",
    "distortion.shift": "translate translation width_shift_range",
    "distortion.thickness": "dilate dilation erosion stroke stroke_width",
    "loss": "criterion cost loss_fn loss_function objective",
    "model": "net network nn architecture",
    "model.activation": "act act_fn activation_fn activation_function nonlinearity",
    "model.batch_norm": "bn batchnorm batch_normalization use_batch_norm",
    "model.hidden": "fc_layers hidden_dim hidden_dims hidden_layer hidden_layer_sizes "
    "hidden_layers hidden_size hidden_sizes hidden_units layer_sizes layers neurons num_units "
    "units width widths",
    "model.init": "initializer initialiser initialization kernel_initializer weight_init "
    "weights_initializer",
    "optimizer": "optim optimiser",
    "optimizer.clip_norm": "clip clipnorm grad_clip gradient_clip gradient_clip_val max_grad_norm",
    "optimizer.epsilon": "eps",
    "optimizer.learning_rate": "lr eta eta0 base_lr max_lr learning_rate_init rate",
    "optimizer.name": "algorithm opt solver",
    "optimizer.nesterov": "nesterovs_momentum use_nesterov",
    "optimizer.weight_decay": "alpha decay l2 l2_penalty l2_reg lambda wd",
    "regularisation": "regularization regularizer",
    "regularisation.average": "ema",
    "regularisation.dropout": "drop_prob drop_rate dropout_prob dropout_rate",
    "schedule": "scheduler lr_schedule lr_scheduler learning_rate_schedule",
    "schedule.every": "step_size",
    "schedule.factor": "gamma",
    "schedule.warmup": "warmup_epochs",
    "seed": "manual_seed random_seed random_state",
    "training": "fit train trainer",
    "training.batch_size": "batch bs mini_batch_size minibatch_size train_batch_size",
    "training.dtype": "precision",
    "training.epochs": "iterations max_epochs max_iter n_epochs n_iter nb_epoch num_epochs "
    "num_train_epochs",
    "training.patience": "early_stop early_stopping early_stopping_patience n_iter_no_change",
}
NAME_WORDS = "class _target_ kind method type"  # for the key `name` of a section that is a choice

# The words of other programs for a value, without capitals, dots, dashes and underscores.
VALUES = {
    "cosine": "cosineannealing cosineannealinglr cosinedecay",
    "cross_entropy": "categoricalcrossentropy ce logloss nll nllloss softmax "
    "sparsecategoricalcrossentropy",
    "exponential": "exponentiallr exponentialdecay",
    "float32": "float fp32 single torchfloat32",
    "float64": "double fp64 torchfloat64",
    "glorot_normal": "xaviernormal",
    "glorot_uniform": "glorot xavier xavieruniform",
    "he_normal": "he kaiming kaimingnormal",
    "he_uniform": "kaiminguniform",
    "identity": "linear",
    "mse": "meansquarederror quadratic squarederror",
    "sgd": "gd momentum nesterov",
    "sigmoid": "logistic",
    "silu": "swish",
    "standard": "standardize true zscore",
    "step": "multisteplr steplr",
    "unit": "false minmax",
}
WORDS: dict[str, Any] = {"none": None, "yes": True, "on": True, "no": False, "off": False}

UNKNOWN = "unknown key. `mlp config explain` lists all keys."

# The keys that a single value in place of a whole section may mean.
LEADING = {
    "data": ("dataset", "path"),
    "model": ("hidden", "activation"),
    "optimizer": ("name",),
    "regularisation": ("dropout",),
    "schedule": ("name",),
    "training": ("epochs",),
}


def meant(path: KeyPath, value: Any) -> dict[str, Any]:
    """Return what a key and its value probably mean, as dotted keys with values they allow.

    The result is empty if the meaning of any part is not clear.
    """
    key = meant_key(path)
    if isinstance(value, dict) and (key is None or key in SECTIONS):
        found: dict[str, Any] = {}
        for name, part in value.items():
            inner = meant((*((key,) if key else path), name), part)
            if not inner:
                return {}
            found |= inner
        return found
    keys = [key] if key else []
    if key in SECTIONS:
        keys = [f"{key}.{name}" for name in LEADING.get(key, ())]
    for each in keys:
        for candidate in _candidates(each, value):
            if _accepts(each, candidate):
                return {each: candidate}
    return {}


@lru_cache(4096)  # more unknown keys than a file can hold
def meant_key(path: KeyPath) -> str | None:
    """Return the key or section that a path probably means, or None. A name may hold dots."""
    parts = re.sub("[- ]", "_", ".".join(map(str, path)).lower()).split(".")
    known = known_keys()
    if ".".join(parts) in {*known, *SECTIONS}:
        return ".".join(parts)
    name = parts[-1]
    top = [key for key in known if "." not in key]
    if len(parts) == 1:
        found = _closest(name, {key: key for key in (*SECTIONS, *top)}, _synonyms(""))
        if found:
            return found
    elif parts[0] in top:
        return parts[0]
    elif owner := _closest(parts[0], {key: key for key in SECTIONS}, _synonyms("")):
        inside = {key.rpartition(".")[2]: key for key in known if key.startswith(f"{owner}.")}
        if found := _closest(name, inside, _synonyms(owner)):
            return found
    elsewhere = {key.rpartition(".")[2]: key for key in reversed(known)}
    return _closest(name, elsewhere, {**_synonyms(None), **_synonyms("")})


def nearest_key(path: KeyPath) -> str:
    """Return the message for an unknown key, with the key that it probably means."""
    key = meant_key(path)
    if key is None:
        return UNKNOWN
    if key == ".".join(map(str, path)):  # such as `training.epochs: 3`, which YAML does not nest
        return "unknown key. In a file, keys are nested."
    return f"unknown key. Did you mean {key}?"


@cache
def known_keys() -> dict[str, str]:
    """Return all keys with what they allow, in words."""
    return {option.key: option.allowed for option in options()}


@cache
def _synonyms(section: str | None) -> dict[str, str]:
    """Return the foreign words of a section's keys; "" is the top, and None is all sections."""
    found: dict[str, str] = {}
    for key, words in SYNONYMS.items():
        owner = key.rpartition(".")[0]
        if owner == section or (section is None and owner):
            found |= dict.fromkeys(words.split(), key)
    if section in CHOICES:
        found |= dict.fromkeys(NAME_WORDS.split(), f"{section}.name")
    return found


def _closest(name: str, names: Mapping[str, str], words: Mapping[str, str]) -> str | None:
    """Return what `name` means: one of the names or words, or one that is spelt similarly."""
    for table in (names, words):
        if name in table:
            return table[name]
    for table, cutoff in ((names, 0.6), (words, 0.85)):
        if close := difflib.get_close_matches(name, table, 1, cutoff):
            return table[close[0]]
    return None


def _candidates(key: str, value: Any) -> Iterator[Any]:
    """Yield values that `value` may stand for. Most do not fit the key's type."""
    yield value
    if isinstance(value, dict) and len(value) == 1:
        yield from _candidates(key, *value.values())
    elif isinstance(value, str):
        yield from _read_text(key, value.strip())
    elif isinstance(value, list | tuple):
        yield [int(of) if isinstance(of, float) and of.is_integer() else of for of in value]
    elif isinstance(value, bool):
        if key == "training.patience":
            yield 5 if value else None
        yield from _read_text(key, str(value))
    elif isinstance(value, int | float):
        if value in (0, 1):
            yield bool(value)
        if float(value).is_integer():
            yield int(value)
            yield [int(value)]
        if key in ("data.validation", "data.limit") and 0 < value < 1:
            yield round(MNIST_IMAGES * value)


def _read_text(key: str, text: str) -> Iterator[Any]:
    """Yield values that a text may stand for."""
    meaning = scalar(text)
    if not isinstance(meaning, str):
        yield meaning
    yield scalar(text.lower())
    if text.lower() in WORDS:
        yield WORDS[text.lower()]
    plain = _plain(text)
    names = known_keys()[key].removeprefix("one of ").replace(", or null", "").split(", ")
    for name in names:
        if plain == _plain(name) or plain in VALUES.get(name, "").split():
            yield name
    yield from difflib.get_close_matches(text.lower(), names, 1)
    if digits := re.findall(r"\d{1,9}", text):
        yield [int(number) for number in digits]
    yield scalar(text.replace(",", "."))


def _plain(name: str) -> str:
    return re.sub("[-_. ]", "", name.lower())


def _accepts(key: str, value: Any) -> bool:
    """Return whether a key allows a value, under a `name` that has the key."""
    section, _, name = key.rpartition(".")
    data = {name: value}
    for choice, model in CHOICES.get(section, {}).items():
        if name != "name" and name in model.model_fields:
            data["name"] = choice
    try:
        Config.model_validate({section: data} if section else data)
    except ValidationError as error:
        return {entry["type"] for entry in error.errors()} == {"conflicts"}
    return True
