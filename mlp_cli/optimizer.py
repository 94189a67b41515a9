"""Update rules over one flat vector of parameters.

Conventions, decided once. g is the gradient of the mean loss over the minibatch, η the step's
learning rate, λ the weight decay, p the parameters:

    decay      g ← g + λ p, on weights only: the gradient of ½ λ Σ w². No batch size is in it.
               AdamW instead shrinks the weights themselves, p ← (1 − η λ) p (Loshchilov and
               Hutter, 2019), which for plain SGD would be the same.
    sgd        p ← p − η g
    momentum   v ← μ v + g;  p ← p − η v. (η does not stand in v: Polyak's rule as PyTorch has it.)
    nesterov   v ← μ v + g;  p ← p − η (g + μ v)
    rmsprop    v ← ρ v + (1 − ρ) g²;  p ← p − η g / (√v + ε)           (Tieleman and Hinton, 2012)
    adam       m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;
               p ← p − η m̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)
                                                    (Kingma and Ba, 2015, algorithm 1)
    clipping   where ‖g‖ > c over all parameters: g ← g c / ‖g‖, before decay.

The vectors are walked in blocks that stay in cache from the first pass of a rule to its last; over
whole vectors each pass would go out to memory again. This module imports NumPy alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

BLOCK = 16_384  # elements; the arrays of a block of Adam's in float32 take 320 kB


class Optimizer(ABC):
    """Base of the rules: clipping, decay and the walk over blocks.

    Parameters
    ----------
    parameters, gradient
        (P,) vectors; `step` reads the second (and may overwrite it) and updates the first.
    weight_count
        The leading elements that are weights, and so decay.
    weight_decay
        λ ≥ 0.
    clip_norm
        c > 0, or None for no clipping.

    Attributes
    ----------
    slots
        The rule's own vectors (P,) by name. With `steps`, all that resuming needs.
    steps
        Updates so far.
    """

    slot_names: tuple[str, ...] = ()
    decoupled_decay = False

    def __init__(
        self,
        parameters: Array,
        gradient: Array,
        weight_count: int,
        *,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
    ) -> None:
        self.gradient = gradient
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.steps = 0
        self.slots = {name: np.zeros_like(parameters) for name in self.slot_names}
        self._scratch = np.empty(min(BLOCK, len(parameters)), parameters.dtype)
        split = weight_count if weight_decay else 0
        self._blocks = [
            (part.start < split, *(vector[part] for vector in (parameters, gradient)),
             self._scratch[: part.stop - part.start],
             *(slot[part] for slot in self.slots.values()))
            for part in _blocks(split, len(parameters))
        ]  # fmt: skip

    def step(self, learning_rate: float) -> None:
        """Update the parameters once, with the step's learning rate η."""
        if self.clip_norm is not None:
            self._clip(self.clip_norm)
        self.steps += 1
        decay = self.weight_decay
        for decays, p, g, s, *slots in self._blocks:
            if decays and self.decoupled_decay:
                np.multiply(p, 1 - learning_rate * decay, out=p)
            elif decays:
                np.multiply(p, decay, out=s)
                np.add(g, s, out=g)
            self._update(learning_rate, p, g, s, *slots)

    def _clip(self, limit: float) -> None:
        norm = math.sqrt(float(np.dot(self.gradient, self.gradient)))
        # A norm that is not finite is left alone: the weights follow it, and training stops loudly.
        if limit < norm < math.inf:
            np.multiply(self.gradient, limit / norm, out=self.gradient)

    @abstractmethod
    def _update(self, learning_rate: float, p: Array, g: Array, s: Array, *slots: Array) -> None:
        """Apply the rule to one block: p in place, with the gradient g, scratch s and the slots."""


def _blocks(split: int, end: int) -> Iterator[slice]:
    """Cut [0, end) into blocks, with a cut at `split`, where decay ends."""
    for low, high in ((0, split), (split, end)):
        for start in range(low, high, BLOCK):
            yield slice(start, min(start + BLOCK, high))


class SGD(Optimizer):
    """Stochastic gradient descent; `momentum` μ in [0, 1), and Nesterov's form of it."""

    def __init__(
        self,
        parameters: Array,
        gradient: Array,
        weight_count: int,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
    ) -> None:
        self.momentum = momentum
        self.nesterov = nesterov
        self.slot_names = ("velocity",) if momentum else ()
        super().__init__(
            parameters, gradient, weight_count, weight_decay=weight_decay, clip_norm=clip_norm
        )

    def _update(self, learning_rate: float, p: Array, g: Array, s: Array, *slots: Array) -> None:
        direction = g
        if slots:
            (v,) = slots
            np.multiply(v, self.momentum, out=v)
            np.add(v, g, out=v)
            direction = v
            if self.nesterov:
                np.multiply(v, self.momentum, out=s)
                np.add(g, s, out=g)
                direction = g
        np.multiply(direction, learning_rate, out=s)
        np.subtract(p, s, out=p)


class RMSProp(Optimizer):
    """Steps divided by a running root mean square of the gradient; `rho` ρ, `epsilon` ε."""

    slot_names = ("square",)

    def __init__(
        self,
        parameters: Array,
        gradient: Array,
        weight_count: int,
        *,
        rho: float = 0.99,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
    ) -> None:
        self.rho = rho
        self.epsilon = epsilon
        super().__init__(
            parameters, gradient, weight_count, weight_decay=weight_decay, clip_norm=clip_norm
        )

    def _update(self, learning_rate: float, p: Array, g: Array, s: Array, *slots: Array) -> None:
        (v,) = slots
        np.multiply(g, g, out=s)
        np.multiply(s, 1 - self.rho, out=s)
        np.multiply(v, self.rho, out=v)
        np.add(v, s, out=v)
        np.sqrt(v, out=s)
        np.add(s, self.epsilon, out=s)
        np.divide(g, s, out=s)
        np.multiply(s, learning_rate, out=s)
        np.subtract(p, s, out=p)


class Adam(Optimizer):
    """Adaptive moments; `beta1` β₁, `beta2` β₂, `epsilon` ε."""

    slot_names = ("mean", "square")

    def __init__(
        self,
        parameters: Array,
        gradient: Array,
        weight_count: int,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
    ) -> None:
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        super().__init__(
            parameters, gradient, weight_count, weight_decay=weight_decay, clip_norm=clip_norm
        )

    def _update(self, learning_rate: float, p: Array, g: Array, s: Array, *slots: Array) -> None:
        m, v = slots
        root = math.sqrt(1 - self.beta2**self.steps)
        np.multiply(g, g, out=s)
        np.multiply(s, 1 - self.beta2, out=s)
        np.multiply(v, self.beta2, out=v)
        np.add(v, s, out=v)
        np.multiply(g, 1 - self.beta1, out=g)
        np.multiply(m, self.beta1, out=m)
        np.add(m, g, out=m)
        # η m̂ / (√v̂ + ε), both fractions widened by √(1 − β₂ᵗ) to save a pass
        np.sqrt(v, out=s)
        np.add(s, self.epsilon * root, out=s)
        np.divide(m, s, out=s)
        np.multiply(s, learning_rate * root / (1 - self.beta1**self.steps), out=s)
        np.subtract(p, s, out=p)


class AdamW(Adam):
    """Adam with the decay taken out of the gradient and off the weights themselves."""

    decoupled_decay = True


OPTIMIZERS: dict[str, type[SGD | RMSProp | Adam]] = {
    "sgd": SGD,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}
