"""The section `model` of a configuration: the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, ValidationInfo, field_validator

from mlp_cli.config.sections import Section, Share

ActivationName = Literal[
    "relu",
    "leaky_relu",
    "elu",
    "softplus",
    "silu",
    "gelu",
    "tanh",
    "scaled_tanh",
    "sigmoid",
    "identity",
]
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

Width = Annotated[int, Strict(), Field(ge=1, le=65_536)]

DEFAULT_INITS: dict[str, InitialiserName] = {
    "relu": "he_normal",
    "leaky_relu": "he_normal",
    "elu": "he_normal",
    "softplus": "he_normal",
    "silu": "he_normal",
    "gelu": "he_normal",
    "scaled_tanh": "lecun_normal",
}


class ModelConfig(Section):
    """The network: its hidden layers, their activation and normalisation, its initial weights."""

    hidden: Annotated[tuple[Width, ...], Strict(False), Field(max_length=100)] = Field(
        (512, 256),
        description="Number of neurons in each hidden layer, starting at the input; `[]` is "
        "softmax regression.",
    )
    activation: ActivationName = Field(
        "relu",
        description="Activation function f(z) of the hidden neurons. softplus is log(1 + eᶻ); silu "
        "is z σ(z), with the sigmoid σ (Ramachandran et al., 2017); gelu is z Φ(z), with the "
        "normal distribution function Φ, not approximated (Hendrycks and Gimpel, 2016); "
        "scaled_tanh is 1.7159 tanh(2z/3) (LeCun et al., 1998).",
    )
    negative_slope: Share | None = Field(
        None,
        validate_default=True,
        description="Slope of leaky_relu below 0; null means 0.01. It belongs to leaky_relu alone.",
    )
    batch_norm: bool = Field(
        False,
        description="Whether the weighted inputs of each hidden layer are normalised over the "
        "minibatch (Ioffe and Szegedy, 2015).",
    )
    clean_statistics: bool = Field(
        False,
        description="Whether batch normalisation is evaluated with the means and variances of "
        "10,000 training images without noise, dropout and distortions, computed after each epoch. "
        "Otherwise they are running averages over the minibatches.",
    )
    decoder: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None,
        description="Weight λ of the cost of a decoder. In training, it reconstructs the inputs "
        "without the noise of `regularisation`, from what the layers make of them (Rasmus et al., "
        "2015). null for no decoder.",
    )
    init: InitialiserName | None = Field(
        None,
        validate_default=True,
        description="Distribution of the initial weights (He et al., 2015; Glorot and Bengio, "
        "2010; LeCun et al., 1998; Nielsen, 2015, chapters 3 and 1). null means he_normal for "
        "relu, leaky_relu, elu, softplus, silu and gelu, lecun_normal for scaled_tanh, and "
        "glorot_uniform otherwise.",
    )

    window: Annotated[float, Field(ge=0.5, le=1000)] | None = Field(
        None,
        description="Standard deviation σ, in pixels, of a Gaussian window on the initial weights "
        "of each neuron in the first hidden layer: they fade with the distance from a random place "
        "in the middle of the image. Training then changes all weights, as without a window. null "
        "for no window.",
    )

    @field_validator("negative_slope")
    @classmethod
    def _resolved_slope(cls, slope: float | None, info: ValidationInfo) -> float | None:
        is_leaky = info.data.get("activation") == "leaky_relu"
        return 0.01 if slope is None and is_leaky else slope

    @field_validator("init")
    @classmethod
    def _resolved(cls, init: InitialiserName | None, info: ValidationInfo) -> InitialiserName:
        return init or DEFAULT_INITS.get(info.data.get("activation", "relu"), "glorot_uniform")
