"""A workload: the network, minibatch size, update rule and images of a comparison.

A workload is sent to the contenders' processes as JSON. This module does not import NumPy, because
each process must fix its number of threads first.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from lib.images import share_lit, training_images

INPUTS, CLASSES = 784, 10
LEARNING_RATES = {"sgd": 0.1, "adam": 0.001}

# The largest cost of an epoch, in floating-point operations of matrix products: a few seconds on
# two cores. An epoch that would cost more uses only a part of the images. A step and the update of
# a weight cost time too: an update has little arithmetic, but reads and writes much memory.
COST_OF_EPOCH = 5e11
COST_OF_STEP = 1e7
COST_OF_UPDATE = 100

# The accuracy after an epoch varies with the initial weights and the order of the images, most of
# all for small batches and networks. So a cheap training is started up to STARTS times, within
# COST_OF_STARTS.
STARTS, COST_OF_STARTS = 8, 9.5e11

# How far the images of a row are distorted, in the words of the configuration: in each epoch anew.
DISTORTION: dict[str, Any] = {
    "rotation": 12,
    "scale": 0.12,
    "shift": 1.5,
    "elastic": [15, 15],
    "smoothness": [4, 4],
}


@dataclass(frozen=True)
class Workload:
    """A training that every contender runs: the same network, data, rule and precision.

    Attributes
    ----------
    name
        The name of the row.
    hidden, batch
        The neurons of each hidden layer, and the examples in a minibatch.
    optimizer, learning_rate, momentum
        `sgd`, with or without momentum, or `adam` (β₁ 0.9, β₂ 0.999, ε 1e-8).
    dtype
        float32 or float64.
    batch_norm, dropout
        Whether hidden layers are normalised, and the probability that a hidden neuron is dropped.
    distorted
        Whether the images are distorted, by DISTORTION.
    half_lit
        Whether made images, half of whose pixels are lit, take the place of MNIST's.
    data
        The absolute path of the folder with MNIST's four files.
    samples
        The number of training images of an epoch, which are the first images of the data.
    whole
        Whether these are all training images.
    lit
        The share of pixels that are not 0.
    most_starts
        The largest number of trainings of one epoch over which the accuracy is averaged.
    """

    name: str
    hidden: tuple[int, ...]
    batch: int
    optimizer: str
    learning_rate: float
    momentum: float = 0.0
    dtype: str = "float32"
    batch_norm: bool = False
    dropout: float = 0.0
    distorted: bool = False
    half_lit: bool = False
    data: str = ""
    samples: int = 0
    whole: bool = True
    lit: float = 1.0
    most_starts: int = STARTS

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of inputs, then the neurons of each layer."""
        return (INPUTS, *self.hidden, CLASSES)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products for one example.

        Each weight takes two operations in each of the forward pass, the weight gradient and the
        input gradient. The first layer needs no input gradient.
        """
        return 6 * self._weights - 2 * self.sizes[0] * self.sizes[1]

    @property
    def flops_of_lit(self) -> float:
        """The same without those that multiply a pixel that is 0, in the images as they are stored.

        Such a pixel takes part in the first layer's forward pass and in its weight gradient.
        """
        return self.flops - 4 * (1 - self.lit) * self.sizes[0] * self.sizes[1]

    @property
    def needs(self) -> set[str]:
        """What not every library can do, of batch_norm, dropout and distorted."""
        return {name for name in ("batch_norm", "dropout", "distorted") if getattr(self, name)}

    @property
    def _weights(self) -> int:
        return sum(n * m for n, m in pairwise(self.sizes))

    @property
    def _cost(self) -> float:
        """The cost of a step, in floating-point operations of matrix products."""
        return self.flops * self.batch + COST_OF_UPDATE * self._weights + COST_OF_STEP

    @property
    def starts(self) -> int:
        """The number of trainings of one epoch over which the accuracy is averaged."""
        steps = -(-self.samples // self.batch)
        return max(1, min(self.most_starts, int(COST_OF_STARTS // (self._cost * steps))))

    @property
    def title(self) -> str:
        """A description of the workload."""
        rule = {"sgd": "SGD", "adam": "Adam"}[self.optimizer]
        rule += f" with momentum {self.momentum:g}" if self.momentum else ""
        extra = ", batch normalisation" if self.batch_norm else ""
        extra += f", dropout {self.dropout:g}" if self.dropout else ""
        extra += ", distorted images" if self.distorted else ""
        extra += ", made images" if self.half_lit else ""
        network = "-".join(map(str, self.sizes))
        return f"{network}, batch {self.batch}, {rule}, {self.dtype}{extra}"

    def on(
        self,
        data: Path,
        samples: int | None = None,
        cost: float = COST_OF_EPOCH,
        most_starts: int = STARTS,
    ) -> Self:
        """Return the same training on the first `samples` images of a folder.

        If `samples` is None, it uses as many whole minibatches as `cost` allows.
        """
        there = training_images(data)
        if samples is None:
            samples = max(1, int(cost // self._cost)) * self.batch
        samples = min(samples, there)
        return replace(
            self,
            data=str(data.absolute()),
            samples=samples,
            whole=samples == there,
            lit=share_lit(data, samples),
            most_starts=most_starts,
        )

    def config(self, *, validation: int, epochs: int) -> dict[str, Any]:
        """Return the configuration with which `mlp` trains the workload."""
        momentum = {"momentum": self.momentum} if self.momentum else {}
        return {
            "data": {"path": self.data, "validation": validation},
            "model": {"hidden": list(self.hidden), "batch_norm": self.batch_norm},
            "distortion": DISTORTION if self.distorted else {},
            "regularisation": {"dropout": self.dropout},
            "optimizer": {"name": self.optimizer, "learning_rate": self.learning_rate, **momentum},
            "training": {"epochs": epochs, "batch_size": self.batch, "dtype": self.dtype},
        }

    def to_json(self) -> str:
        """Return the workload as JSON, which `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the workload from the JSON of `to_json`."""
        found = json.loads(text)
        return cls(**{**found, "hidden": tuple(found["hidden"])})


def workload(
    name: str,
    hidden: tuple[int, ...],
    batch: int,
    optimizer: str,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    dtype: str = "float32",
    **more: Any,
) -> Workload:
    """Return a workload; the default learning rate is the usual one of its rule."""
    rate = learning_rate or LEARNING_RATES[optimizer] * (1 - momentum)
    return Workload(name, hidden, batch, optimizer, rate, momentum, dtype, **more)


def _by_name(*rows: Workload) -> dict[str, Workload]:
    return {row.name: row for row in rows}


# The four networks that are compared: Nielsen's, two common ones, and Cireşan's (2010).
ROWS = _by_name(
    workload("N", (30,), 10, "sgd"),
    workload("S", (128,), 64, "sgd"),
    workload("M", (512, 512), 128, "adam"),
    workload("L", (2500, 2000, 1500, 1000, 500), 128, "adam"),
)

GROUPS = {
    # Unusual shapes, on which the speed must not drop.
    "shapes": _by_name(
        workload("odd", (333, 77), 50, "adam"),
        workload("batch1", (100,), 1, "sgd", learning_rate=0.01),
        workload("batch1000", (256,), 1000, "adam"),
        workload("wide", (4000,), 128, "sgd"),
        workload("narrow", (32,) * 10, 64, "adam"),
        workload("float64", (256, 128), 128, "adam", dtype="float64"),
    ),
    # What no kernel was tuned on: widths that are not multiples of 32, batches of odd size, and all
    # else that a training may have.
    "held-out": _by_name(
        workload("100", (100,), 33, "sgd"),
        workload("300-100", (300, 100), 75, "sgd"),
        workload("250-130-70", (250, 130, 70), 101, "adam"),
        workload("momentum", (128,), 64, "sgd", momentum=0.9),
        workload("batch-norm", (300, 100), 100, "sgd", batch_norm=True),
        workload("dropout", (300, 100), 100, "sgd", dropout=0.5),
        workload("distorted", (300, 100), 100, "sgd", distorted=True),
        workload("half-lit", (300, 100), 100, "sgd", half_lit=True),
    ),
}
EVERY_ROW = {**ROWS, **{name: row for rows in GROUPS.values() for name, row in rows.items()}}
