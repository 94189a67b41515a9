"""Why a training diverged: the first bad step, its layer, and the steps before it.

A training checks its numbers now and then, not at every step, so it notices a bad one a little
later. But every step is a function of what went before. So the training is put back to its newest
checkpoint and repeated, chunk by chunk and at last step by step, up to the first step whose loss,
gradient or update is not finite. That step is not taken: the trainer is left as it was before it.

Each step is examined exactly as it is trained, by the same kernels, with its noise, dropout and
distortions.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mlp_cli.errors import DivergedError
from mlp_cli.nn.buffers import Array
from mlp_cli.storage.header import State
from mlp_cli.training.steps import Minibatch
from mlp_cli.training.trainer import Trainer

STEPS = 8  # that are reported
LARGE = 20.0  # an input that is not well scaled: those of MNIST reach 1, or 2.8 deviations


@dataclass(frozen=True)
class ExaminedStep:
    """One step: its loss, ‖W‖ of each layer before its update, and ‖ΔW‖ of each layer."""

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
        Where it is, each counted from 1, and how many batches an epoch has.
    layer, layers
        The first layer with a number that is not finite, counted from 1, and how many there are.
    what
        Which of its numbers are not finite.
    images
        The batch: indices into the training images.
    hint
        What to change.
    steps
        The last steps up to it, and itself as the last.
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
    steps: list[ExaminedStep]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = "".join(f"  {step}\n" for step in self.steps)
        return (
            f"training diverged in epoch {self.epoch}, at step {self.step} (batch {self.batch} of "
            f"{self.batches}): the {self.what} of layer {self.layer} of {self.layers} are not "
            f"finite. The last steps:\n{lines}{self.hint}"
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
    """Repeat a training up to its first bad step, and leave it as it was before that step.

    Parameters
    ----------
    trainer
        At a checkpoint from before that step.
    noticed
        The step at which the divergence was noticed.

    Returns
    -------
    What was found; None if the training reaches `noticed` without a bad step.
    """
    moments: deque[_Moment] = deque(maxlen=2)  # so that steps before the first of a chunk are known
    while True:
        if trainer.state.step >= noticed:
            return None
        moments.append(_Moment.of(trainer))
        if not _survives(trainer, trainer.chunk):
            break
    moments[0].put_back(trainer)
    steps: deque[ExaminedStep] = deque(maxlen=STEPS)
    while True:
        before = _Moment.of(trainer)
        batch = trainer.next_batch()
        examination = _Examination(trainer, batch)
        before.put_back(trainer)  # an examination moves running statistics
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
                images=batch.rows.tolist(),
                hint=examination.hint(),
                steps=list(steps),
            )


def _survives(trainer: Trainer, rows: int) -> bool:
    """Train on `rows` rows, or to the end of the epoch; return whether all is finite."""
    try:
        trainer.train_epoch(lambda loss: True, rows)
        trainer.check()
    except DivergedError:
        return False
    return True


class _Examination:
    """The step that a trainer is about to take, computed ahead of it."""

    def __init__(self, trainer: Trainer, batch: Minibatch) -> None:
        self._trainer, state = trainer, trainer.state
        examined = trainer.examine(batch)
        passes, network = examined.passes, trainer.network
        with np.errstate(all="ignore"):
            self.step = ExaminedStep(
                epoch=state.epoch + 1,
                step=state.step + 1,
                batch=state.position // trainer.K + 1,
                learning_rate=trainer.schedule(state.step),
                loss=_finite(float(examined.losses.sum(dtype=np.float64)) / len(batch.rows)),
                weight_norms=[_norm(W) for W in network.weights],
                gradient_norms=[_norm(dW) for dW in passes.weight_gradients],
            )
        self._largest_input = float(np.abs(examined.x).max())
        # What follows is decided now: the step itself writes over these buffers.
        last = np.column_stack((examined.z, examined.losses))
        self._bad_outputs = [not np.isfinite(a).all() for a in (*passes.activations, last)]
        self._bad_gradients = _bad_layers(network.views, passes.gradient)

    def fault(self) -> tuple[str, int]:
        """Return what is not finite, and in which layer from 0, after the step was taken."""
        if any(self._bad_outputs):
            return "outputs", self._bad_outputs.index(True)
        if any(self._bad_gradients):  # an error runs from the last layer to the first
            return "gradients", len(self._bad_gradients) - 1 - self._bad_gradients[::-1].index(True)
        network, vectors = self._trainer.network, self._trainer.vectors.values()
        updated = [
            _bad_layers(network.views, vector)
            for vector in vectors
            if len(vector) == len(network.parameters)
        ]
        bad_updates = [any(of) for of in zip(*updated, strict=True)]
        if any(bad_updates):
            return "updated weights", bad_updates.index(True)
        return "outputs on validation images", len(network.weights) - 1

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


def _bad_layers(views: Any, vector: Array) -> list[bool]:
    """Return for each layer whether its weights or biases in a vector (P,) are not all finite."""
    weights, biases, *_ = views(vector)
    return [
        not (np.isfinite(W).all() and np.isfinite(b).all())
        for W, b in zip(weights, biases, strict=True)
    ]


def _norm(matrix: Array) -> float | None:
    return _finite(np.sqrt(np.square(matrix, dtype=np.float64).sum()))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
