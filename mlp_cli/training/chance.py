"""Whether a training stays at chance, and what to look at if it does.

A network that ignores its inputs can get as many images right as there are in the most frequent
class. A training is at chance if no epoch got more right than that, by a one-sided test at 99.9 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mlp_cli.config.model_section import ModelConfig
from mlp_cli.config.schema import Config
from mlp_cli.training.metrics import wilson_interval
from mlp_cli.training.trainer import Trainer

# A network that begins to learn is too hard to tell from one that does not in fewer images, or if
# more of them are of one class: it first learns which class is frequent.
FEWEST, LARGEST_SHARE = 100, 2 / 3
Z = 3.0902323061678132  # the normal distribution has 99.9 % below it
FIRST_EPOCHS, FIRST_STEPS = 3, 300  # after these, the user is told
FAR = 10  # times the default rate, or one part in so many
DEEP = 6  # hidden layers
STRONG_DECAY = 0.01


class Standing(NamedTuple):
    """The best accuracy so far on some images, and the share of their most frequent class."""

    images: str
    accuracy: float
    share: float
    at_chance: bool


def standing(trainer: Trainer) -> Standing | None:
    """Return how a training stands against chance, None if that cannot be said.

    Validation images decide, or the training images if there are too few of them. That a training
    is at chance cannot be said if these are too few as well, or if most are of one class.
    """
    state, dataset = trainer.state, trainer.dataset
    images, split, accuracy = "validation", dataset.validation, state.best_accuracy
    if len(split) < FEWEST:
        images, split, accuracy = "training", dataset.train, state.best_train_accuracy
    n = len(split)
    if accuracy is None:
        return None
    share = int(np.bincount(split.labels[split.rows]).max()) / n
    is_above = wilson_interval(round(accuracy * n), n, Z)[0] > share
    if not is_above and (n < FEWEST or share > LARGEST_SHARE):
        return None
    return Standing(images, accuracy, share, not is_above)


def chance_note(trainer: Trainer, config: Config) -> str:
    """Return what to tell after an epoch if the training is at chance, "" otherwise.

    It is told once: after the third epoch, or later if there were few steps until then. A training
    that ends before is told at its end.
    """
    epoch, steps = trainer.state.epoch, -(-len(trainer.dataset.train) // trainer.K)
    due = max(FIRST_EPOCHS, -(-FIRST_STEPS // steps))
    is_due = epoch == due or (trainer.finished and epoch < due)
    found = standing(trainer) if is_due else None
    if found is None or not found.at_chance:
        return ""
    return (
        f"The network is at chance after {epoch} epoch{'' if epoch == 1 else 's'}: its best "
        f"{found.images} accuracy is {100 * found.accuracy:.2f} %, and always choosing the most "
        f"frequent class gives {100 * found.share:.2f} %.\n"
        f"Look at, in this order: {'; '.join(_causes(config, trainer.state.step))}."
    )


def _causes(config: Config, steps: int) -> Iterator[str]:
    """Yield what may keep a network at chance, the likeliest first."""
    rule, model, data = config.optimizer, config.model, config.data
    rate, usual = rule.learning_rate, type(rule).model_fields["learning_rate"].default
    if rule.name == "sgd" and config.loss == "mse":
        usual *= 4  # the sigmoid outputs shrink the gradient by their derivative, at most 1/4
    is_far = not usual / FAR <= rate <= usual * FAR
    if is_far:
        yield f"optimizer.learning_rate {rate:g} (usual for {rule.name}: about {usual:g})"
    if steps < FIRST_STEPS:
        yield f"training.batch_size and training.epochs (there were only {steps} steps)"
    if model.hidden and not model.batch_norm:
        fit = ModelConfig(activation=model.activation).init
        if model.init != fit:
            yield f"model.init {model.init} ({fit} fits {model.activation})"
        layers = len(model.hidden)
        if layers >= DEEP or (layers > 1 and model.activation == "sigmoid"):
            yield f"model.batch_norm (true helps {layers} hidden layers of {model.activation})"
    if rule.weight_decay >= STRONG_DECAY:
        yield f"optimizer.weight_decay {rule.weight_decay:g}"
    added = config.regularisation
    if any((added.input_dropout, added.dropout, added.input_noise, added.noise, added.max_norm)):
        yield "the strength of regularisation"
    if not config.distortion.is_none:
        yield "the strength of distortion"
    if data.path is not None:
        if data.scaling == "unit":
            yield "data.scaling (standard suits images that are dark or pale)"
        yield "whether the labels belong to the images (`mlp config preview` draws some)"
    if not is_far:
        yield f"optimizer.learning_rate {rate:g} (try {rate * FAR:g} and {rate / FAR:g})"
