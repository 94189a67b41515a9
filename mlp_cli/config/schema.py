"""What a configuration may say: its sections, their keys, defaults, bounds and meanings.

Every value chooses from a registry or is a number within bounds; none names code. The models are
strict (no value is converted, but an integer is a number), know no other keys, and do not change.
`config` reads files into them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, Strict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mlp_cli.config.choices import (
    DEFAULT_NAMES,
    ConstantConfig,
    Count,
    OptimizerConfig,
    Rate,
    ScheduleConfig,
    Section,
    SGDConfig,
    Share,
)

DatasetName = Literal["mnist", "synthetic"]
Scaling = Literal["unit", "standard"]
ActivationName = Literal["relu", "leaky_relu", "elu", "tanh", "scaled_tanh", "sigmoid", "identity"]
InitialiserName = Literal[
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "nielsen",
    "nielsen_large",
]
LossName = Literal["cross_entropy", "mse"]
DType = Literal["float32", "float64"]

Width = Annotated[int, Strict(), Field(ge=1, le=65_536)]

INITS: dict[str, InitialiserName] = {
    "relu": "he_normal",
    "leaky_relu": "he_normal",
    "elu": "he_normal",
    "scaled_tanh": "lecun_normal",
}


class DataConfig(Section):
    """What is trained on, validated on and tested on."""

    dataset: DatasetName = Field(
        "mnist",
        description="The data: MNIST, or 12,000 digits that the program draws itself.",
    )
    path: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Folder of your own four IDX files under MNIST's names, raw or gzipped, which "
        "wins over `dataset`; relative to the working directory.",
    )
    validation: int = Field(
        5000,
        ge=0,
        le=1_000_000_000,
        description="Training images held out, by the seed, to select the best epoch; 0 for none.",
    )
    download: bool = Field(
        True, description="Whether `train` may fetch MNIST where it is missing or damaged."
    )
    fallback: Literal["synthetic"] | None = Field(
        None,
        description="Train on the drawn digits, with a warning, where MNIST cannot be had.",
    )
    test: bool = Field(
        True,
        description="Whether the test set is read, and scored once at the end.",
    )
    scaling: Scaling = Field(
        "unit",
        description="Pixels as 0 to 1, or with the training pixels' mean 0 and deviation 1 "
        "(LeCun et al., Efficient BackProp, 1998).",
    )

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        if path is None:
            return None
        try:
            absolute = str(Path(path).absolute())
            absolute.encode()
        except OSError:
            raise PydanticCustomError(
                "no_folder", "is relative, and the working directory is gone"
            ) from None
        except UnicodeEncodeError:
            raise PydanticCustomError(
                "no_folder", "is relative, and the working directory's name is not UTF-8"
            ) from None
        return absolute


class ModelConfig(Section):
    """The network: its hidden layers, what stands between them, and its first weights."""

    hidden: Annotated[tuple[Width, ...], Strict(False), Field(max_length=100)] = Field(
        (512, 256),
        description="Neurons of each hidden layer, the first first; `[]` is softmax regression.",
    )
    activation: ActivationName = Field(
        "relu",
        description="Function of each hidden neuron: leaky_relu has slope 0.01 below 0, "
        "scaled_tanh is 1.7159 tanh(2x/3) (LeCun et al., 1998).",
    )
    batch_norm: bool = Field(
        False,
        description="Whether each hidden layer's weighted inputs are normalised over the minibatch "
        "(Ioffe and Szegedy, 2015).",
    )
    init: InitialiserName | None = Field(
        None,
        validate_default=True,
        description="Distribution of the first weights (He et al., 2015; Glorot and Bengio, 2010; "
        "LeCun et al., 1998; Nielsen, 2015, chapters 3 and 1); null is he_normal for relu, "
        "leaky_relu and elu, lecun_normal for scaled_tanh, else glorot_uniform.",
    )

    @field_validator("init")
    @classmethod
    def _resolved(cls, init: InitialiserName | None, info: ValidationInfo) -> InitialiserName:
        return init or INITS.get(info.data.get("activation", "relu"), "glorot_uniform")


Strength = Annotated[float, Field(ge=0, le=1000)]
Range = Annotated[tuple[Strength, Strength], Strict(False)]


class DistortionConfig(Section):
    """How far each training image is distorted, anew in every epoch."""

    rotation: float = Field(
        0.0, ge=0, le=180, description="Largest angle, in degrees to either side."
    )
    scale: Share = Field(
        0.0, description="Largest share by which height and width grow or shrink, each by its own."
    )
    shear: Strength = Field(0.0, description="Largest shear to either side.")
    shift: Strength = Field(
        0.0, description="Largest shift in pixels, down or up and to either side."
    )
    elastic: Range = Field(
        (0.0, 0.0),
        description="Range of the strength α, in pixels, of an elastic field "
        "(Simard et al., 2003), as in [20, 34]; 0 is none.",
    )
    smoothness: Range = Field(
        (4.0, 4.0), description="Range of the deviation σ, in pixels, that smooths the field."
    )
    ease: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the epochs, at the end, in which all of it shrinks linearly.",
    )
    eased: float = Field(0.0, ge=0, le=1, description="The size to which it shrinks.")

    @property
    def is_none(self) -> bool:
        """Whether images stay as they are."""
        return not any((self.rotation, self.scale, self.shear, self.shift, *self.elastic))

    @field_validator("elastic", "smoothness")
    @classmethod
    def _rising(cls, of: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        if of[0] > of[1] or (info.field_name == "smoothness" and of[0] < 0.1):
            raise PydanticCustomError(
                "range", "the first must not be above the second, nor a deviation below 0.1"
            )
        return of


class RegularisationConfig(Section):
    """What keeps a network from learning its training images by heart, beside weight decay."""

    input_dropout: Share = Field(
        0.0,
        description="Probability that a pixel is dropped in a step (Srivastava et al., 2014).",
    )
    dropout: Share = Field(
        0.0, description="Probability that a hidden neuron is dropped in a step."
    )
    input_noise: Strength = Field(
        0.0,
        description="Standard deviation of what is added to each pixel in a step, after scaling "
        "(Bishop, 1995); uniform.",
    )
    noise: Strength = Field(
        0.0,
        description="The same of each hidden neuron's weighted input, after batch normalisation "
        "(Rasmus et al., 2015).",
    )
    max_norm: Rate | None = Field(
        None,
        description="Largest Euclidean norm of the weights into a hidden neuron, to which they are "
        "scaled down after a step (Hinton et al., 2012); null for no limit.",
    )
    label_smoothing: Share = Field(
        0.0,
        description="Share ε of a target that is spread evenly over the classes "
        "(Szegedy et al., 2016).",
    )
    average: Rate | None = Field(
        None,
        description="Epochs over which weights are averaged, by an exponential moving average that "
        "is validated, tested and kept as best in their place; null for none.",
    )


class TrainingConfig(Section):
    """How long, in what portions and in what precision."""

    epochs: Count = Field(10, description="Passes over the training images.")
    batch_size: Count = Field(
        128, description="Examples K of a step; an epoch's last minibatch may be smaller."
    )
    dtype: DType = Field("float32", description="Floating-point type of all arithmetic.")
    patience: Count | None = Field(
        None,
        description="Epochs without a better validation after which training stops; null for "
        "never.",
    )


class Conflict(NamedTuple):
    """Keys, each fine alone, that do not go together; the first is the one to speak of."""

    keys: tuple[str, ...]
    text: str


class Config(Section):
    """The configuration of one training: every key has a default, so `{}` is one."""

    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Fixes the held-out images, the first weights and each epoch's order.",
    )
    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    loss: LossName = Field(
        "cross_entropy",
        description="Softmax with cross-entropy, or ½‖a − y‖² with sigmoid outputs "
        "(Nielsen, 2015, chapter 1); the mean over a minibatch.",
    )
    optimizer: OptimizerConfig = Field(default_factory=SGDConfig)
    schedule: ScheduleConfig = Field(default_factory=ConstantConfig)
    distortion: DistortionConfig = Field(default_factory=DistortionConfig)
    regularisation: RegularisationConfig = Field(default_factory=RegularisationConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @field_validator("optimizer", "schedule", mode="before")
    @classmethod
    def _chosen(cls, section: Any, info: ValidationInfo) -> Any:
        """Drop what is null, which there means not set, and name the default choice."""
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
                "needs minibatches, and training.batch_size is 1. Take more examples a step.",
            )
        epochs, warmup = self.training.epochs, self.schedule.warmup
        rule = self.optimizer
        if isinstance(rule, SGDConfig) and rule.nesterov and rule.momentum == 0:
            yield Conflict(
                ("optimizer.nesterov", "optimizer.momentum"),
                "needs optimizer.momentum above 0, and it is 0. Set it, as to 0.9.",
            )
        if warmup >= epochs:
            yield Conflict(
                ("schedule.warmup", "training.epochs"),
                f"found {warmup} epochs, and training.epochs is {epochs}. Warm up for fewer.",
            )
        if self.training.patience is not None and self.data.validation == 0:
            yield Conflict(
                ("training.patience", "data.validation"),
                "stopping early needs validation images, and data.validation is 0. Hold some out, "
                "or remove the patience.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved configuration as plain data, ready for JSON."""
        return self.model_dump(mode="json")
