"""The record of an epoch, the scores on a split, and the interval of an error rate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.storage.strict_json import to_json


@dataclass(frozen=True)
class EpochMetrics:
    """One line of `metrics.jsonl`.

    `train_loss` and `train_accuracy` are means over the batches as they were trained, each with the
    weights of that step and without decay. `samples_per_second` counts from the shuffle to the last
    update. `seconds` is the whole epoch with its validation, without saving.
    """

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    samples_per_second: float
    seconds: float

    def to_json(self) -> str:
        """Return the record as one line of JSON, without its newline."""
        return to_json(asdict(self))


def wilson_interval(errors: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return the interval of a rate after `errors` in `n` trials, at 95 % for the default z.

    Wilson (1927): the rates p for which |errors/n − p| ≤ z √(p (1 − p) / n). Unlike the textbook
    p ± z √(p (1 − p) / n) it stays within [0, 1] and is honest at 0 errors.
    """
    rate = errors / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low = 0.0 if errors == 0 else max(0.0, centre - half)
    high = 1.0 if errors == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Scores:
    """The scores on n images: `confusion[i][j]` images of class i were classified as j."""

    loss: float
    confusion: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Images scored."""
        return int(self.confusion.sum())

    @property
    def errors(self) -> int:
        """Images with a wrong class."""
        return self.n - int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of the images with the right class."""
        return 1 - self.errors / self.n

    @property
    def error_ci95(self) -> tuple[float, float]:
        """95 % Wilson interval of the error rate."""
        return wilson_interval(self.errors, self.n)

    def per_class(self) -> list[dict[str, Any]]:
        """Return precision, recall, F1 (0 if nothing was counted) and support of each class."""
        hits = np.diag(self.confusion)
        taken, support = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        return [
            {
                "label": label,
                "precision": int(hit) / max(1, int(all_taken)),
                "recall": int(hit) / max(1, int(all_there)),
                "f1": 2 * int(hit) / max(1, int(all_taken + all_there)),
                "support": int(all_there),
            }
            for label, (hit, all_taken, all_there) in enumerate(
                zip(hits, taken, support, strict=True)
            )
        ]
