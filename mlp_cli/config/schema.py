"""The model of a whole configuration, and which keys do not go together.

The sections are in `sections`, `data_section` and `choices`. Every value is one of a fixed set of
names, or a number within bounds; no value names code. `load` reads files into a `Config`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mlp_cli.config.choices import (
    DEFAULT_NAMES,
    ConstantConfig,
    OptimizerConfig,
    ScheduleConfig,
    SGDConfig,
)
from mlp_cli.config.data_section import DataConfig
from mlp_cli.config.model_section import ModelConfig
from mlp_cli.config.sections import (
    DistortionConfig,
    LoggingConfig,
    RegularisationConfig,
    Section,
    TrainingConfig,
)

LossName = Literal["cross_entropy", "mse"]


class Conflict(NamedTuple):
    """Keys that are each valid alone but not together; the fault is reported at the first."""

    keys: tuple[str, ...]
    text: str


class Config(Section):
    """The configuration of one training. Every key has a default, so `{}` is a configuration."""

    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Determines everything random in a training: the held-out images, the initial "
        "weights, the order of each epoch, dropout, noise and distortions.",
    )
    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    loss: LossName = Field(
        "cross_entropy",
        description="Cross-entropy of a softmax, or ½‖a − y‖² of sigmoid outputs (Nielsen, 2015, "
        "chapter 1); each is the mean over a minibatch.",
    )
    optimizer: OptimizerConfig = Field(default_factory=SGDConfig)
    schedule: ScheduleConfig = Field(default_factory=ConstantConfig)
    distortion: DistortionConfig = Field(default_factory=DistortionConfig)
    regularisation: RegularisationConfig = Field(default_factory=RegularisationConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)

    @field_validator("optimizer", "schedule", mode="before")
    @classmethod
    def _chosen(cls, section: Any, info: ValidationInfo) -> Any:
        """Drop keys that are null, which here means not set, and add the default name."""
        if not isinstance(section, dict):
            return section
        given = {key: value for key, value in section.items() if value is not None}
        return {"name": DEFAULT_NAMES[str(info.field_name)], **given}

    @model_validator(mode="after")
    def _without_conflicts(self) -> Self:
        conflicts = list(self._conflicts())
        if conflicts:
            text = " ".join(conflict.text for conflict in conflicts)
            raise PydanticCustomError("conflicts", "{text}", {"text": text, "found": conflicts})
        return self

    def _conflicts(self) -> Iterator[Conflict]:
        if self.model.batch_norm and self.training.batch_size == 1:
            yield Conflict(
                ("model.batch_norm", "training.batch_size"),
                "needs minibatches, but training.batch_size is 1. Set it to 2 or more.",
            )
        if self.model.decoder is not None and self.training.batch_size == 1:
            yield Conflict(
                ("model.decoder", "training.batch_size"),
                "needs minibatches, but training.batch_size is 1. Set it to 2 or more.",
            )
        if self.model.negative_slope is not None and self.model.activation != "leaky_relu":
            yield Conflict(
                ("model.negative_slope", "model.activation"),
                f"belongs to leaky_relu, but model.activation is {self.model.activation}. Remove "
                "it, or clear it with --set model.negative_slope=null.",
            )
        epochs, warmup = self.training.epochs, self.schedule.warmup
        rule = self.optimizer
        if isinstance(rule, SGDConfig) and rule.nesterov and rule.momentum == 0:
            yield Conflict(
                ("optimizer.nesterov", "optimizer.momentum"),
                "needs optimizer.momentum above 0, but it is 0. Set it, for example to 0.9.",
            )
        if warmup >= epochs:
            yield Conflict(
                ("schedule.warmup", "training.epochs"),
                f"found {warmup} epochs, but training.epochs is {epochs}. Choose fewer.",
            )
        if self.training.patience is not None and self.data.validation == 0:
            yield Conflict(
                ("training.patience", "data.validation"),
                "early stopping needs validation images, but data.validation is 0. Hold some out, "
                "or set training.patience to null.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved configuration as plain data, ready for JSON."""
        return self.model_dump(mode="json")
