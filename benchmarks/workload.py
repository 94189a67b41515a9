"""What is trained in a comparison: a network, its minibatch and its update rule, on some images.

A workload travels to the contenders' processes as JSON. Nothing here imports NumPy: each of those
processes must fix its number of threads first.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Self

INPUTS, CLASSES = 784, 10
LEARNING_RATES = {"sgd": 0.1, "adam": 0.001}

# What one epoch of a measurement may take before it is cut to a part of the images, in
# operations of products: some seconds of two cores. Steps cost something of their own.
COST_OF_EPOCH = 5e11
COST_OF_STEP = 1e7
COST_OF_UPDATE = 100  # of each weight: little arithmetic, much memory

# What an epoch teaches varies with the first weights and the order, the more the smaller the
# batch and the network: so cheap trainings are started this often, within this cost.
STARTS, COST_OF_STARTS = 8, 9.5e11


@dataclass(frozen=True)
class Workload:
    """One training that every contender does: the same network, data, rule and precision.

    Attributes
    ----------
    name
        What the row is called.
    hidden, batch
        Neurons of each hidden layer, and examples of a minibatch.
    optimizer, learning_rate, momentum
        `sgd`, with or without momentum, or `adam` (β₁ 0.9, β₂ 0.999, ε 1e-8).
    dtype
        float32 or float64.
    data
        Absolute folder of MNIST's four files.
    samples, whole
        Training images of an epoch, the first so many of the data, and whether that is all.
    """

    name: str
    hidden: tuple[int, ...]
    batch: int
    optimizer: str
    learning_rate: float
    momentum: float = 0.0
    dtype: str = "float32"
    data: str = ""
    samples: int = 0
    whole: bool = True

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs, then the neurons of each layer."""
        return (INPUTS, *self.hidden, CLASSES)

    @property
    def flops(self) -> int:
        """Floating-point operations of the products for one example.

        Two for each weight forward, in the weight gradient and in the input gradient; the first
        layer's input gradient is never needed.
        """
        return 6 * self._weights - 2 * self.sizes[0] * self.sizes[1]

    @property
    def _weights(self) -> int:
        return sum(n * m for n, m in pairwise(self.sizes))

    @property
    def _cost(self) -> float:
        """What a step costs, in operations of products."""
        return self.flops * self.batch + COST_OF_UPDATE * self._weights + COST_OF_STEP

    @property
    def starts(self) -> int:
        """How many trainings of one epoch the accuracy is the mean of."""
        steps = -(-self.samples // self.batch)
        return max(1, min(STARTS, int(COST_OF_STARTS // (self._cost * steps))))

    @property
    def title(self) -> str:
        """The workload in words."""
        rule = {"sgd": "SGD", "adam": "Adam"}[self.optimizer]
        rule += f" with momentum {self.momentum:g}" if self.momentum else ""
        network = "-".join(map(str, self.sizes))
        return f"{network}, batch {self.batch}, {rule}, {self.dtype}"

    def on(self, data: Path, samples: int | None = None, cost: float = COST_OF_EPOCH) -> Self:
        """Return the same training on a folder's images, on the first `samples` of them if given.

        Otherwise on all, or on as many whole minibatches as `cost` allows.
        """
        there = training_images(data)
        if samples is None:
            samples = max(1, int(cost // self._cost)) * self.batch
        samples = min(samples, there)
        return replace(self, data=str(data.absolute()), samples=samples, whole=samples == there)

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the workload that `to_json` wrote."""
        found = json.loads(text)
        return cls(**{**found, "hidden": tuple(found["hidden"])})


def training_images(folder: Path) -> int:
    """Return how many training images the folder's file of them holds, raw or gzipped."""
    path = folder / "train-images-idx3-ubyte"
    with path.open("rb") if path.exists() else gzip.open(f"{path}.gz") as file:
        return int.from_bytes(file.read(8)[4:], "big")


def workload(
    name: str,
    hidden: tuple[int, ...],
    batch: int,
    optimizer: str,
    learning_rate: float | None = None,
    momentum: float = 0.0,
    dtype: str = "float32",
) -> Workload:
    """Return a workload at the usual learning rate of its rule, where none is given."""
    rate = learning_rate or LEARNING_RATES[optimizer] * (1 - momentum)
    return Workload(name, hidden, batch, optimizer, rate, momentum, dtype)


# The four networks of the claim: Nielsen's, two common ones, and Cireşan's (2010).
ROWS = {
    row.name: row
    for row in (
        workload("N", (30,), 10, "sgd"),
        workload("S", (128,), 64, "sgd"),
        workload("M", (512, 512), 128, "adam"),
        workload("L", (2500, 2000, 1500, 1000, 500), 128, "adam"),
    )
}

# Shapes on which nothing may fall off a cliff.
SHAPES = {
    row.name: row
    for row in (
        workload("odd", (333, 77), 50, "adam"),
        workload("batch1", (100,), 1, "sgd", learning_rate=0.01),
        workload("batch1000", (256,), 1000, "adam"),
        workload("wide", (4000,), 128, "sgd"),
        workload("narrow", (32,) * 10, 64, "adam"),
        workload("momentum", (128,), 64, "sgd", momentum=0.9),
        workload("float64", (256, 128), 128, "adam", dtype="float64"),
    )
}
