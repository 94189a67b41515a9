"""The sections of a configuration that are a choice: the optimizer, and the schedule of its rate.

Each choice has keys of its own, so each is a model of its own, found by its `name`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

# Rates reach beyond all sense, so that a divergence can be asked for; float32 ends at 3.4e38.
Rate = Annotated[float, Field(gt=0, le=1e38)]
LearningRate = Annotated[Rate, Field(description="Step size η at the height of the schedule.")]
Share = Annotated[float, Field(ge=0, lt=1)]
# float32 takes 1e-40 for 0, and weights of a pixel without ink have no gradient: 0 / 0.
Epsilon = Annotated[
    float,
    Field(ge=1e-30, le=1, description="ε added to the root mean square, against division by 0."),
]
Factor = Annotated[
    float, Field(gt=0, le=1, description="What the rate is multiplied with at each drop.")
]
Final = Annotated[
    float, Field(ge=0, le=1, description="Share of the learning rate that is left at the end.")
]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

RULE = "The rule by which a step changes the parameters."
SHAPE = "How the learning rate changes during training."


class Section(BaseModel):
    """Base of all sections."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class AnyOptimizerConfig(Section):
    """What every optimizer has."""

    name: str
    learning_rate: LearningRate = 0.001
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="λ: λw is added to the gradient of each weight w, not of biases; adamw shrinks "
        "w by ηλw instead (Loshchilov and Hutter, 2019).",
    )
    clip_norm: Rate | None = Field(
        None,
        description="Largest Euclidean norm of the whole gradient, which is scaled down to it "
        "(Pascanu et al., 2013); null for no limit.",
    )


class SGDConfig(AnyOptimizerConfig):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = Field("sgd", description=RULE)
    learning_rate: LearningRate = 0.1
    momentum: Share = Field(
        0.0, description="Share μ of the last step's velocity that is kept (Polyak, 1964)."
    )
    nesterov: bool = Field(
        False,
        description="Whether the gradient is taken ahead of the velocity (Sutskever et al., 2013); "
        "needs momentum.",
    )


class RMSPropConfig(AnyOptimizerConfig):
    """Steps divided by a running root mean square of the gradient (Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"] = Field(description=RULE)
    rho: Share = Field(0.99, description="Share ρ of the mean square that a step keeps.")
    epsilon: Epsilon = 1e-8


class MomentsConfig(AnyOptimizerConfig):
    """What Adam and AdamW share."""

    beta1: Share = Field(0.9, description="Share β₁ of the mean gradient that a step keeps.")
    beta2: Share = Field(0.999, description="Share β₂ of the mean square that a step keeps.")
    epsilon: Epsilon = 1e-8


class AdamConfig(MomentsConfig):
    """Adaptive moments (Kingma and Ba, 2015)."""

    name: Literal["adam"] = Field(description=RULE)


class AdamWConfig(MomentsConfig):
    """Adam with decay taken off the weights themselves (Loshchilov and Hutter, 2019)."""

    name: Literal["adamw"] = Field(description=RULE)


class AnyScheduleConfig(Section):
    """What every schedule has."""

    depends_on_length: ClassVar[bool] = False

    name: str
    warmup: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="Epochs, whole or not, in which the rate first grows linearly from 0; fewer "
        "than `training.epochs`.",
    )


class ConstantConfig(AnyScheduleConfig):
    """The learning rate as it is."""

    name: Literal["constant"] = Field("constant", description=SHAPE)


class StepConfig(AnyScheduleConfig):
    """A drop after every so many epochs."""

    name: Literal["step"] = Field(description=SHAPE)
    every: Count = Field(10, description="Epochs between two drops of the rate.")
    factor: Factor = 0.1


class ExponentialConfig(AnyScheduleConfig):
    """A drop after each epoch."""

    name: Literal["exponential"] = Field(description=SHAPE)
    factor: Factor = 0.95


class CosineConfig(AnyScheduleConfig):
    """Half a cosine down to the end of training (Loshchilov and Hutter, 2017)."""

    depends_on_length: ClassVar[bool] = True

    name: Literal["cosine"] = Field(description=SHAPE)
    final: Final = 0.0


class OneCycleConfig(AnyScheduleConfig):
    """Up, then down to the end of training (Smith and Topin, 2017)."""

    depends_on_length: ClassVar[bool] = True

    name: Literal["one_cycle"] = Field(description=SHAPE)
    rise: float = Field(
        0.3, gt=0, lt=1, description="Share of the steps in which the rate rises to its full size."
    )
    start: float = Field(0.04, gt=0, le=1, description="Share of the learning rate to begin with.")
    final: Final = 0.0001


OptimizerConfig = Annotated[
    SGDConfig | RMSPropConfig | AdamConfig | AdamWConfig, Field(discriminator="name")
]
ScheduleConfig = Annotated[
    ConstantConfig | StepConfig | ExponentialConfig | CosineConfig | OneCycleConfig,
    Field(discriminator="name"),
]

# Of the sections that are a choice: what is chosen where `name` is absent, and all that can be.
DEFAULT_NAMES = {"optimizer": "sgd", "schedule": "constant"}
CHOICES: dict[str, dict[str, type[Section]]] = {
    "optimizer": {
        "sgd": SGDConfig,
        "rmsprop": RMSPropConfig,
        "adam": AdamConfig,
        "adamw": AdamWConfig,
    },
    "schedule": {
        "constant": ConstantConfig,
        "step": StepConfig,
        "exponential": ExponentialConfig,
        "cosine": CosineConfig,
        "one_cycle": OneCycleConfig,
    },
}
