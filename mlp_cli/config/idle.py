"""Keys that a configuration sets although they have no effect beside its other values."""

from __future__ import annotations

from mlp_cli.config.schema import Config
from mlp_cli.config.text import changed_keys


def idle_keys(config: Config) -> list[str]:
    """Return a sentence for each reason why keys that differ from their defaults have no effect."""
    distortion = config.distortion
    distorted = not distortion.is_none
    reasons = [
        (
            not config.data.validation,
            ["data.consecutive"],
            "no images are held out (data.validation is 0)",
        ),
        (
            not config.data.validation and config.data.limit is None,
            ["data.stratify"],
            "no images are held out (data.validation is 0) and all are trained on",
        ),
        (
            not config.model.hidden,
            [
                "model.batch_norm",
                "model.window",
                *(f"regularisation.{x}" for x in ("dropout", "noise", "max_norm")),
            ],
            "model.hidden is [], so there is no hidden layer",
        ),
        (not config.model.batch_norm, ["model.clean_statistics"], "model.batch_norm is false"),
        (
            not distorted,
            ["distortion.smoothness", "distortion.ease", "distortion.eased"],
            "the other keys of distortion leave the images as they are",
        ),
        (
            distorted and not any(distortion.elastic),
            ["distortion.smoothness"],
            "distortion.elastic is [0, 0]",
        ),
        (distorted and not distortion.ease, ["distortion.eased"], "distortion.ease is 0"),
    ]
    changed = {
        f"{section}.{key}"
        for section, keys in changed_keys(config).items()
        if isinstance(keys, dict)
        for key in keys
    }
    sentences = []
    for holds, keys, reason in reasons:
        idle = [key for key in keys if key in changed]
        if holds and idle:
            have = "has" if len(idle) == 1 else "have"
            sentences.append(f"{', '.join(idle)} {have} no effect, because {reason}.")
    return sentences
