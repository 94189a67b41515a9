"""Why a training diverged: which step was the first bad one, in which layer, and what led there.

A training looks at its numbers now and then, not at every step: a bad one is noticed a little
later. But every step is a function of what went before. So the training is put back to its newest
checkpoint and walked again, chunk by chunk and at last step by step, up to the first step whose
loss, gradient or update is not finite; that step is not taken. The trainer is left as it was before
it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mlp_cli.data.batches import BatchReader, epoch_keys, epoch_order
from mlp_cli.errors import DivergedError
from mlp_cli.nn.backprop import Backpropagation, columns_first
from mlp_cli.nn.buffers import Array
from mlp_cli.training.trainer import State, Trainer

STEPS = 8  # that are told of
LARGE = 20.0  # an input that is not well scaled: MNIST's reach 1, or 2.8 deviations


@dataclass(frozen=True)
class Step:
    """One step: its loss before the update, and each layer's ‖W‖ before it and ‖ΔW‖."""

    epoch: int
    step: int
    batch: int
    learning_rate: float
    loss: float | None
    weight_norms: list[float | None]
    gradient_norms: list[float | None]

    def __str__(self) -> str:
        norms = [
            " ".join("not finite" if norm is None else f"{norm:.3g}" for norm in of)
            for of in (self.weight_norms, self.gradient_norms)
        ]
        loss = "not finite" if self.loss is None else f"{self.loss:.4g}"
        return f"step {self.step}: loss {loss}; ‖W‖ {norms[0]}; ‖ΔW‖ {norms[1]}"


@dataclass(frozen=True)
class Divergence:
    """The first bad step of a training.

    Attributes
    ----------
    epoch, step, batch, batches
        Where it is, each from 1; of how many batches an epoch has.
    layer, layers
        The first layer with a number that is not finite, from 1; of how many.
    what
        What of it is not finite.
    images
        The batch: indices into the training images.
    hint
        What to change.
    steps
        The last steps up to it, itself the last.
    """

    epoch: int
    step: int
    batch: int
    batches: int
    layer: int
    layers: int
    what: str
    images: list[int]
    hint: str
    steps: list[Step]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = "".join(f"  {step}\n" for step in self.steps)
        return (
            f"training diverged in epoch {self.epoch}, at step {self.step} (batch {self.batch} of "
            f"{self.batches}): the {self.what} of layer {self.layer} of {self.layers} are not "
            f"finite. What led there:\n{lines}{self.hint}"
        )


class _Moment(NamedTuple):
    """A training at an instant."""

    vectors: dict[str, Array]
    state: State

    @classmethod
    def of(cls, trainer: Trainer) -> _Moment:
        vectors = {name: vector.copy() for name, vector in trainer.vectors.items()}
        return cls(vectors, replace(trainer.state))

    def put_back(self, trainer: Trainer) -> None:
        for name, vector in trainer.vectors.items():
            vector[...] = self.vectors[name]
        trainer.state = replace(self.state)


def find_first_bad_step(trainer: Trainer, noticed: int) -> Divergence | None:
    """Walk a training again, up to its first bad step, and leave it before that.

    Parameters
    ----------
    trainer
        Put back to a checkpoint from before that step.
    noticed
        The step at which the training was seen to have diverged.

    Returns
    -------
    What was found; None where the training comes by `noticed` without a bad step.
    """
    moments: deque[_Moment] = deque(maxlen=2)  # so that the first step of a chunk has a past
    while True:
        if trainer.state.step >= noticed:
            return None
        moments.append(_Moment.of(trainer))
        if not _survives(trainer, trainer.chunk):
            break
    moments[0].put_back(trainer)
    steps: deque[Step] = deque(maxlen=STEPS)
    while True:
        before = _Moment.of(trainer)
        examination = _Examination(trainer)
        before.put_back(trainer)  # looking at a step counts in running statistics
        steps.append(examination.step)
        if not _survives(trainer, trainer.K):
            what, layer = examination.fault()
            before.put_back(trainer)
            return Divergence(
                epoch=steps[-1].epoch,
                step=steps[-1].step,
                batch=steps[-1].batch,
                batches=-(-len(trainer.dataset.train) // trainer.K),
                layer=layer + 1,
                layers=len(trainer.network.weights),
                what=what,
                images=examination.images.tolist(),
                hint=examination.hint(),
                steps=list(steps),
            )


def _survives(trainer: Trainer, rows: int) -> bool:
    """Train on so many rows, or to the epoch's end; return whether all is finite."""
    try:
        trainer.train_epoch(lambda loss: True, rows)
        trainer.check()
    except DivergedError:
        return False
    return True


class _Examination:
    """The step that a trainer is about to take, computed beforehand to be looked at."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, state = trainer, trainer.state
        network, dataset, K = trainer.network, trainer.dataset, trainer.K
        order = epoch_order(trainer.seed, state.epoch, dataset.train.rows)
        keys = epoch_keys(trainer.seed, state.epoch, -(-len(order) // K))
        self.images = order[state.position : state.position + K]
        classes, n = network.sizes[-1], len(self.images)
        regularisers = trainer.regularisers
        reader = BatchReader(
            dataset.train, classes, trainer.mean, trainer.std, n, network.dtype,
            smoothing=regularisers.label_smoothing,
        )  # fmt: skip
        reader.rows[:] = self.images
        x, z = reader.read(0, n), columns_first(n, classes, network.dtype)
        backpropagation = Backpropagation(network, n, dropout=regularisers.dropout)
        batch = state.position // K
        with np.errstate(all="ignore"):
            backpropagation(x, reader.y, z, key=keys[batch : batch + 1])
            losses = network.loss.values(z, reader.y)
            self.step = Step(
                epoch=state.epoch + 1,
                step=state.step + 1,
                batch=batch + 1,
                learning_rate=trainer.schedule(state.step),
                loss=_finite(losses.mean(dtype=np.float64)),
                weight_norms=[_norm(W) for W in network.weights],
                gradient_norms=[_norm(dW) for dW in backpropagation.weight_gradients],
            )
        self._largest_input = float(np.abs(x).max())
        self._outputs = [*backpropagation.activations, np.column_stack((z, losses))]
        self._gradients = [backpropagation.gradient]

    def fault(self) -> tuple[str, int]:
        """Return what is not finite, and of which layer from 0, when the step has been taken."""
        views = self._trainer.network.views
        wrong = [not np.isfinite(output).all() for output in self._outputs]
        if any(wrong):
            return "outputs", wrong.index(True)
        wrong = _wrong_layers(views, self._gradients)
        if any(wrong):  # an error runs from the last layer to the first
            return "gradients", len(wrong) - 1 - wrong[::-1].index(True)
        P = len(self._trainer.network.parameters)
        updated = [vector for vector in self._trainer.vectors.values() if len(vector) == P]
        wrong = _wrong_layers(views, updated)
        if any(wrong):
            return "updated weights", wrong.index(True)
        return "outputs on validation images", len(wrong) - 1

    def hint(self) -> str:
        """Return what to change."""
        if self._largest_input > LARGE:
            return (
                f"The inputs reach {self._largest_input:.3g}: they are not scaled. Change "
                "data.scaling."
            )
        rate = self.step.learning_rate
        return (
            f"The learning rate is {rate:.3g}: try a tenth of it, optimizer.learning_rate: "
            f"{rate / 10:.3g}; schedule.warmup and optimizer.clip_norm help too."
        )


def _wrong_layers(views: Any, vectors: Sequence[Array]) -> list[bool]:
    """Return for each layer whether one of the vectors (P,) is not finite in it."""
    sound = [
        [
            bool(np.isfinite(W).all() and np.isfinite(b).all())
            for W, b in zip(*views(vector)[:2], strict=True)
        ]
        for vector in vectors
    ]
    return [not all(of) for of in zip(*sound, strict=True)]


def _norm(matrix: Array) -> float | None:
    return _finite(np.sqrt(np.square(matrix, dtype=np.float64).sum()))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
