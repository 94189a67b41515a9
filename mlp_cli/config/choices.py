"""The sections of a configuration that are a choice: the optimizer, and its rate's schedule.

Each choice has keys of its own, so each is a model of its own. The key `name` selects it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mlp_cli.config.sections import Count, Rate, Section, Share

LearningRate = Annotated[Rate, Field(description="Step size η at the peak of the schedule.")]
# float32 rounds 1e-40 to 0. With ε = 0, a weight whose gradients are all 0 would change by 0 / 0.
Epsilon = Annotated[
    float,
    Field(ge=1e-30, le=1, description="ε, added to the root mean square to avoid division by 0."),
]
Factor = Annotated[
    float, Field(gt=0, le=1, description="Factor by which the rate is multiplied at each drop.")
]
Final = Annotated[
    float, Field(ge=0, le=1, description="Share of the learning rate that is left at the end.")
]

RULE = "The rule by which a step changes the parameters."
SHAPE = "How the learning rate changes during training."


class AnyOptimizerConfig(Section):
    """The keys of every optimizer.

    A rate outside `usual_rates` is allowed, with a warning.
    """

    # These rules divide the gradient by its size, so a step moves a weight by about the rate,
    # whatever the gradient (Kingma and Ba, 2015, section 2.1). The first weights are about 0.05.
    usual_rates: ClassVar[tuple[float, float]] = (1e-6, 0.03)

    name: str
    learning_rate: LearningRate = 0.001
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="λ: λw is added to the gradient of each weight w, but not of biases; adamw "
        "instead shrinks w by ηλw (Loshchilov and Hutter, 2019).",
    )
    clip_norm: Rate | None = Field(
        None,
        description="Largest Euclidean norm of the whole gradient; a larger gradient is scaled "
        "down to it (Pascanu et al., 2013). null for no limit.",
    )


class SGDConfig(AnyOptimizerConfig):
    """Stochastic gradient descent."""

    # Its steps are in proportion to the gradient of cross_entropy; see `rate_note` for mse.
    usual_rates: ClassVar[tuple[float, float]] = (1e-5, 1.0)

    name: Literal["sgd"] = Field("sgd", description=RULE)
    learning_rate: LearningRate = 0.1
    momentum: Share = Field(
        0.0, description="Share μ of the previous velocity that a step keeps (Polyak, 1964)."
    )
    nesterov: bool = Field(
        False,
        description="Whether momentum is Nesterov's, with the gradient taken one velocity ahead "
        "(Sutskever et al., 2013); needs momentum above 0.",
    )


class RMSPropConfig(AnyOptimizerConfig):
    """Steps divided by a running root mean square of the gradient (Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"] = Field(description=RULE)
    rho: Share = Field(0.99, description="Share ρ of the running mean square that a step keeps.")
    epsilon: Epsilon = 1e-8


class MomentsConfig(AnyOptimizerConfig):
    """The keys that Adam and AdamW share."""

    beta1: Share = Field(
        0.9, description="Share β₁ of the gradient's running mean that a step keeps."
    )
    beta2: Share = Field(
        0.999, description="Share β₂ of the gradient's running mean square that a step keeps."
    )
    epsilon: Epsilon = 1e-8


class AdamConfig(MomentsConfig):
    """Adaptive moments (Kingma and Ba, 2015)."""

    name: Literal["adam"] = Field(description=RULE)


class AdamWConfig(MomentsConfig):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    name: Literal["adamw"] = Field(description=RULE)


class AnyScheduleConfig(Section):
    """The keys of every schedule."""

    depends_on_length: ClassVar[bool] = False

    name: str
    warmup: float = Field(
        0.0,
        ge=0,
        le=1_000_000,
        description="Number of epochs, also fractional, in which the rate first grows linearly "
        "from 0; must be below `training.epochs`.",
    )


class ConstantConfig(AnyScheduleConfig):
    """A constant learning rate."""

    name: Literal["constant"] = Field("constant", description=SHAPE)


class StepConfig(AnyScheduleConfig):
    """A drop after each `every` epochs."""

    name: Literal["step"] = Field(description=SHAPE)
    every: Count = Field(10, description="Number of epochs from one drop of the rate to the next.")
    factor: Factor = 0.1


class ExponentialConfig(AnyScheduleConfig):
    """A drop after each epoch."""

    name: Literal["exponential"] = Field(description=SHAPE)
    factor: Factor = 0.95


class CosineConfig(AnyScheduleConfig):
    """A fall along half a cosine until the end of training (Loshchilov and Hutter, 2017)."""

    depends_on_length: ClassVar[bool] = True

    name: Literal["cosine"] = Field(description=SHAPE)
    final: Final = 0.0


class OneCycleConfig(AnyScheduleConfig):
    """A rise, then a fall until the end of training (Smith and Topin, 2017)."""

    depends_on_length: ClassVar[bool] = True

    name: Literal["one_cycle"] = Field(description=SHAPE)
    rise: float = Field(
        0.3, gt=0, lt=1, description="Share of the steps in which the rate rises to its peak."
    )
    start: float = Field(
        0.04, gt=0, le=1, description="Share of the learning rate at the first step."
    )
    final: Final = 0.0001


OptimizerConfig = Annotated[
    SGDConfig | RMSPropConfig | AdamConfig | AdamWConfig, Field(discriminator="name")
]
ScheduleConfig = Annotated[
    ConstantConfig | StepConfig | ExponentialConfig | CosineConfig | OneCycleConfig,
    Field(discriminator="name"),
]

# For each section that is a choice: the name to take if none is given, and all names.
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
