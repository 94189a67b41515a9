"""The sections of a configuration that are not a choice, except `data` (`data_section`).

Each section is a model of its keys with their defaults, bounds and meanings. The models are strict:
no value is converted, except that an integer is a number. They know no other keys, and they do not
change.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

DType = Literal["float32", "float64"]

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, lt=1)]
# Absurdly large rates are allowed, so that a divergence can be provoked; float32 ends at 3.4e38.
Rate = Annotated[float, Field(gt=0, le=1e38)]
Strength = Annotated[float, Field(ge=0, le=1000)]
Range = Annotated[tuple[Strength, Strength], Strict(False)]


class Section(BaseModel):
    """Base class of all sections."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class DistortionConfig(Section):
    """How strongly each training image is distorted, differently in each epoch."""

    rotation: float = Field(
        0.0, ge=0, le=180, description="Largest rotation in degrees, in either direction."
    )
    scale: Share = Field(
        0.0,
        description="Largest share by which height and width grow or shrink, each independently.",
    )
    shear: Strength = Field(0.0, description="Largest shear, in either direction.")
    shift: Strength = Field(
        0.0, description="Largest shift in pixels, up or down and to either side."
    )
    elastic: Range = Field(
        (0.0, 0.0),
        description="Range of the strength α, in pixels, of an elastic distortion "
        "(Simard et al., 2003), as in [20, 34]; 0 is none.",
    )
    smoothness: Range = Field(
        (4.0, 4.0),
        description="Range of the standard deviation σ, in pixels, of the Gaussian that smooths "
        "the elastic distortion.",
    )
    thickness: Share = Field(
        0.0,
        description="Largest share of the way from each pixel to the brightest of itself and its "
        "four neighbours, which makes strokes thicker, or to the darkest, which makes them "
        "thinner.",
    )
    ease: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the epochs, at the end, in which all distortions shrink linearly.",
    )
    eased: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of their strength that the distortions keep at the end; see `ease`.",
    )

    @property
    def is_none(self) -> bool:
        """Whether images stay as they are."""
        sizes = self.rotation, self.scale, self.shear, self.shift, *self.elastic, self.thickness
        return not any(sizes)

    @field_validator("elastic", "smoothness")
    @classmethod
    def _rising(cls, of: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        if of[0] > of[1] or (info.field_name == "smoothness" and of[0] < 0.1):
            raise PydanticCustomError(
                "range", "the first must not be above the second, nor a deviation below 0.1"
            )
        return of


class RegularisationConfig(Section):
    """What reduces overfitting, besides weight decay and distortions."""

    input_dropout: Share = Field(
        0.0,
        description="Probability that a pixel is dropped in a step (Srivastava et al., 2014).",
    )
    dropout: Share = Field(
        0.0, description="Probability that a hidden neuron is dropped in a step."
    )
    input_noise: Strength = Field(
        0.0,
        description="Standard deviation of the uniform noise that is added to each scaled pixel in "
        "a step (Bishop, 1995).",
    )
    noise: Strength = Field(
        0.0,
        description="Standard deviation of the uniform noise that is added to each hidden neuron's "
        "weighted input in a step, after batch normalisation (Rasmus et al., 2015).",
    )
    max_norm: Rate | None = Field(
        None,
        description="Largest Euclidean norm of the weights into a hidden neuron; larger weights "
        "are scaled down to it after each step (Hinton et al., 2012). null for no limit.",
    )
    label_smoothing: Share = Field(
        0.0,
        description="Share ε of each target that is spread evenly over the classes "
        "(Szegedy et al., 2016).",
    )
    average: Rate | None = Field(
        None,
        description="Time constant, in epochs, of an exponential moving average of the weights, "
        "which is validated, tested and kept as best instead of them; null for none.",
    )


class LoggingConfig(Section):
    """What is written about a training besides its metrics. It does not change the training."""

    tensorboard: bool = Field(
        False,
        description="Whether event files for TensorBoard are written into the run's folder: the "
        "metrics, histograms of the weights and gradients, and the worst mistakes, once an epoch. "
        "Needs the extra `tensorboard`.",
    )


class TrainingConfig(Section):
    """How long to train, in what minibatches and with what precision."""

    epochs: Count = Field(10, description="Number of passes over the training images.")
    batch_size: Count = Field(
        128,
        description="Number K of examples in a step; the last minibatch of an epoch may be "
        "smaller.",
    )
    dtype: DType = Field("float32", description="Floating-point type of all arithmetic.")
    patience: Count | None = Field(
        None,
        description="Number of epochs without a better validation score after which training "
        "stops; null for never.",
    )
