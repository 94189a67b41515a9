"""The header of a checkpoint: what it was trained by and on, where the training stands.

Every number in it goes through JSON unchanged. The saver writes a `Header`; models and resumed runs
read its records back through `Checkpoint`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

# What the records of every checkpoint of format 1 hold. A field that came later is optional.
FIRST_DATA_FIELDS = ("name", "image_shape", "classes")
FIRST_STATE_FIELDS = (
    "epoch", "position", "step", "loss_sum", "correct", "epoch_seconds", "training_seconds",
    "samples", "seconds", "best_epoch", "best_accuracy", "best_loss",
)  # fmt: skip


@dataclass
class State:
    """Where a training stands. Times are in seconds, and epochs count from 1.

    With the parameters and the slots of the optimizer, it is all that resuming needs.
    """

    epoch: int = 0  # epochs that are finished
    position: int = 0  # rows of the current epoch that were trained on
    step: int = 0  # updates that were made
    loss_sum: float = 0.0  # over those rows of the current epoch
    correct: int = 0
    epoch_seconds: float = 0.0  # training time of the current epoch
    training_seconds: float = 0.0  # of all finished epochs, without validation and saving
    samples: int = 0  # rows trained on in `training_seconds`
    seconds: float = 0.0  # of all sittings, everything included
    best_epoch: int | None = None
    best_accuracy: float | None = None
    best_loss: float | None = None
    best_train_accuracy: float | None = None  # of an epoch, as it was trained


@dataclass(frozen=True)
class DataRecord:
    """The data that a network was trained on; `image_shape` is [height, width].

    `digests` has the digest of each file that was read, by the file's name (see `data.digest`).
    `names` has the name of each class, and is empty if the classes are just numbered.
    """

    name: str
    image_shape: list[int]
    classes: int
    digests: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Header:
    """All that a checkpoint says beside its arrays."""

    config: dict[str, Any]
    data: DataRecord
    state: State
    environment: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, ready for JSON."""
        return asdict(self)
