"""The section `data` of a configuration: which images, and what a network sees of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator
from pydantic_core import PydanticCustomError

from mlp_cli.config.sections import Section
from mlp_cli.errors import ConfigError
from mlp_cli.storage.paths import given_path

DatasetName = Literal["mnist", "synthetic"]
Scaling = Literal["unit", "standard"]
ViewName = Annotated[
    str,
    Field(
        pattern="^(raw|(upright-)?(rising|falling)|upright|width-([89]|1[0-9]|2[0-8]))$",
        description="raw, rising, falling, upright, upright-rising, upright-falling or width-N "
        "with N from 8 to 28",
    ),
]


class DataConfig(Section):
    """The data to train, validate and test on."""

    dataset: DatasetName = Field(
        "mnist", description="MNIST, or 12,000 digits that the program draws itself."
    )
    path: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="File or folder with your own images: pictures in a folder for each class, "
        "CSV, .npz, .npy or IDX. It replaces `dataset`, and is relative to the working directory; "
        "`~` is the home folder.",
    )
    validation: int = Field(
        5000,
        ge=0,
        le=1_000_000_000,
        description="Number of training images held out, chosen by the seed, to select the best "
        "epoch; 0 for none.",
    )
    stratify: bool = Field(
        False,
        description="Whether each class keeps its share among the held-out images, and among those "
        "that `limit` leaves.",
    )
    consecutive: bool = Field(
        False,
        description="Whether the held-out images of each class follow one another in the file. "
        "Then few of MNIST's writers are in both parts. The test set, too, is of writers that are "
        "not in the training set.",
    )
    limit: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Number of images to train on, chosen by the seed from those that are not held "
        "out; null for all. The images of a smaller limit are among those of a larger one, with "
        "`stratify` class by class.",
    )
    download: bool = Field(
        True, description="Whether `train` may fetch MNIST if it is missing or damaged."
    )
    fallback: Literal["synthetic"] | None = Field(
        None,
        description="Train on the drawn digits, with a warning, if MNIST is missing and cannot be "
        "fetched.",
    )
    test: bool = Field(
        True, description="Whether the test set is read, and scored once at the end."
    )
    scaling: Scaling = Field(
        "unit",
        description="unit: pixels from 0 to 1. standard: mean 0 and standard deviation 1 over the "
        "training pixels (LeCun et al., Efficient BackProp, 1998).",
    )
    views: Annotated[
        tuple[ViewName, ...],
        Strict(False),
        Field(max_length=8, json_schema_extra={"minItems": 1, "uniqueItems": True}),
    ] = Field(
        ("raw",),
        description="What the network sees of each image, side by side, after its distortion. raw: "
        "the image itself. rising and falling: its edges, where it gets brighter and where it gets "
        "darker (Liu et al., 2003). upright: without its slant (LeCun et al., 1998), and "
        "upright-rising and upright-falling the edges of that. width-N: upright, with its box "
        "scaled to N pixels wide and 20 high (Meier et al., 2011), or in proportion if images are "
        "not 28 × 28.",
    )

    @field_validator("views")
    @classmethod
    def _different(cls, views: tuple[str, ...]) -> tuple[str, ...]:
        if not views or len({*views}) < len(views):
            raise PydanticCustomError("views", "there is none, or one of them twice")
        return views

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        if path is None:
            return None
        try:
            absolute = str(given_path(path).absolute())
            absolute.encode()
        except ConfigError as error:
            raise PydanticCustomError("path", "{reason}", {"reason": str(error)}) from None
        except OSError:
            raise PydanticCustomError(
                "no_folder", "is relative, but the working directory is gone"
            ) from None
        except UnicodeEncodeError:
            raise PydanticCustomError(
                "no_folder", "is relative, but the working directory's name is not UTF-8"
            ) from None
        return absolute
