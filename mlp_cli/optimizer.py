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
whole vectors each pass would go out to memory again. Several threads may each walk a part.
This module imports NumPy alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# Elements: half a megabyte of each array in float32. Smaller blocks would stay nearer to the core,
# but at every call the threads of a team have to get the interpreter's lock.
BLOCK = 131_072


class _Block(NamedTuple):
    """What the rule meets of each vector in one block, whether it decays, and scratch."""

    decays: bool
    p: Array
    g: Array
    s: Array
    slots: list[Array]


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
    parts, meet
        For each thread that calls `step`, the pieces of the vectors that it owns, and what each
        calls to wait for the others, as only clipping has to.

    Attributes
    ----------
    slots
        The rule's own vectors (P,) by name. With the number of updates, all that resuming needs.
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
        parts: Sequence[Sequence[slice]] | None = None,
        meet: Callable[[int], None] | None = None,
    ) -> None:
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.slots = {name: np.zeros_like(parameters) for name in self.slot_names}
        self._meet = meet
        split = weight_count if weight_decay else 0
        self._parts: list[list[_Block]] = []
        for pieces in [[slice(0, len(parameters))]] if parts is None else parts:
            scratch = np.empty(min(BLOCK, len(parameters)), parameters.dtype)
            self._parts.append(
                [
                    _Block(
                        decays=at.start < split,
                        p=parameters[at],
                        g=gradient[at],
                        s=scratch[: at.stop - at.start],
                        slots=[slot[at] for slot in self.slots.values()],
                    )
                    for at in _blocks(pieces, split)
                ]
            )
        self._squares = [0.0] * len(self._parts)

    def step(self, learning_rate: float, t: int, part: int = 0) -> None:
        """Update the parameters, or a part of them, for the t-th time, with learning rate η."""
        blocks, decay = self._parts[part], self.weight_decay
        if self.clip_norm is not None:
            self._clip(self.clip_norm, part)
        for decays, p, g, s, slots in blocks:
            if decays and self.decoupled_decay:
                np.multiply(p, 1 - learning_rate * decay, out=p)
            elif decays:
                np.multiply(p, decay, out=s)
                np.add(g, s, out=g)
            self._update(learning_rate, t, p, g, s, *slots)

    def _clip(self, limit: float, part: int) -> None:
        blocks = self._parts[part]
        self._squares[part] = math.fsum(float(np.dot(block.g, block.g)) for block in blocks)
        if self._meet is not None:
            self._meet(part)
        norm = math.sqrt(sum(self._squares))
        # A norm that is not finite is left alone: the weights follow it, and training stops loudly.
        if limit < norm < math.inf:
            for block in blocks:
                np.multiply(block.g, limit / norm, out=block.g)

    @abstractmethod
    def _update(
        self, learning_rate: float, t: int, p: Array, g: Array, s: Array, *slots: Array
    ) -> None:
        """Apply the rule to one block: p in place, with the gradient g, scratch s and the slots."""


def _blocks(pieces: Sequence[slice], split: int) -> Iterator[slice]:
    """Cut pieces of a vector into blocks, with a cut at `split`, where decay ends."""
    for piece in pieces:
        middle = min(max(split, piece.start), piece.stop)
        for low, high in ((piece.start, middle), (middle, piece.stop)):
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
        **common: Any,
    ) -> None:
        self.momentum = momentum
        self.nesterov = nesterov
        self.slot_names = ("velocity",) if momentum else ()
        super().__init__(parameters, gradient, weight_count, **common)

    def _update(
        self, learning_rate: float, t: int, p: Array, g: Array, s: Array, *slots: Array
    ) -> None:
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
        **common: Any,
    ) -> None:
        self.rho = rho
        self.epsilon = epsilon
        super().__init__(parameters, gradient, weight_count, **common)

    def _update(
        self, learning_rate: float, t: int, p: Array, g: Array, s: Array, *slots: Array
    ) -> None:
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
        **common: Any,
    ) -> None:
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        super().__init__(parameters, gradient, weight_count, **common)

    def _update(
        self, learning_rate: float, t: int, p: Array, g: Array, s: Array, *slots: Array
    ) -> None:
        m, v = slots
        root = math.sqrt(1 - self.beta2**t)
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
        np.multiply(s, learning_rate * root / (1 - self.beta1**t), out=s)
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
