"""Update rules over one flat vector of parameters.

Conventions, decided once. g is the gradient of the mean loss over the minibatch, η the learning
rate of the step, λ the weight decay, p the parameters:

    decay      g ← g + λ p, on weights only: the gradient of ½ λ Σ w². No batch size is in it.
               AdamW shrinks the weights themselves instead, p ← (1 − η λ) p (Loshchilov and
               Hutter, 2019), which for plain SGD would be the same.
    sgd        p ← p − η g
    momentum   v ← μ v + g;  p ← p − η v. (η does not stand in v: Polyak's rule as PyTorch has it.)
    nesterov   v ← μ v + g;  p ← p − η (g + μ v)
    rmsprop    v ← ρ v + (1 − ρ) g²;  p ← p − η g / (√v + ε)           (Tieleman and Hinton, 2012)
    adam       m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;
               p ← p − η m̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)
                                                    (Kingma and Ba, 2015, algorithm 1)
    clipping   if ‖g‖ > c over all parameters: g ← g c / ‖g‖, before decay.

An `UpdateRule` updates one block of the parameters. The `Optimizer` walks over all of them, in
blocks that stay in cache from the first pass of a rule to its last: over whole vectors, each pass
would go out to memory again. Several workers may each walk over the rows that they own. What
depends on η and the step t alone is computed once for all blocks: the `factors` of the step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mlp_cli.nn.buffers import Array, Block, Numbers
from mlp_cli.nn.ops import NUMPY, Ops

# Elements: half a megabyte of each array in float32. Smaller blocks would stay nearer to the core,
# but at every call the threads of a team have to get the interpreter's lock.
BLOCK = 131_072

FACTORS = 3
Factors = tuple[float, ...]


class UpdateRule(ABC):
    """Base of the rules: decay, and the factors of a step."""

    decoupled_decay: ClassVar[bool] = False

    @property
    @abstractmethod
    def name(self) -> str:
        """The rule's name in the conventions above."""

    @property
    @abstractmethod
    def slot_names(self) -> tuple[str, ...]:
        """The names of the vectors that the rule keeps from step to step."""

    @property
    @abstractmethod
    def constants(self) -> tuple[float, ...]:
        """The numbers that are the same in every step."""

    def factors(self, rates: Sequence[float], first: int) -> Numbers:
        """Return what depends on the step alone, (steps, `FACTORS`), the learning rate η first.

        `rates` are the learning rates of the steps. `first` is the number of the first step,
        counted from 1.
        """
        factors = np.zeros((len(rates), FACTORS))
        factors[:, 0] = rates
        return factors

    def update(self, block: Block, factors: Numbers) -> None:
        """Apply decay and the rule to one block: p and the slots change, and g is scratch."""
        p, g, slots, s, decay = block
        learning_rate, *rest = factors.tolist()
        if decay and self.decoupled_decay:
            np.multiply(p, 1 - learning_rate * decay, out=p)
        elif decay:
            np.multiply(p, decay, out=s)
            np.add(g, s, out=g)
        self._apply(p, g, s, *slots, factors=(learning_rate, *rest))

    @abstractmethod
    def _apply(self, p: Array, g: Array, s: Array, *slots: Array, factors: Factors) -> None:
        """Update p and the slots in place, with the gradient g and scratch s."""


@dataclass(frozen=True)
class SGD(UpdateRule):
    """Stochastic gradient descent; `momentum` μ in [0, 1), and Nesterov's form of it."""

    momentum: float = 0.0
    nesterov: bool = False

    @property
    def name(self) -> str:
        """Which of the three forms it is."""
        return ("nesterov" if self.nesterov else "momentum") if self.momentum else "sgd"

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The velocity v, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    @property
    def constants(self) -> tuple[float, ...]:
        """μ."""
        return (self.momentum,)

    def _apply(self, p: Array, g: Array, s: Array, *slots: Array, factors: Factors) -> None:
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
        np.multiply(direction, factors[0], out=s)
        np.subtract(p, s, out=p)


@dataclass(frozen=True)
class RMSProp(UpdateRule):
    """Steps divided by a running root mean square of the gradient; `rho` ρ, `epsilon` ε."""

    rho: float = 0.99
    epsilon: float = 1e-8

    name = "rmsprop"
    slot_names = ("square",)

    @property
    def constants(self) -> tuple[float, ...]:
        """ρ and ε."""
        return self.rho, self.epsilon

    def _apply(self, p: Array, g: Array, s: Array, *slots: Array, factors: Factors) -> None:
        (v,) = slots
        np.multiply(g, g, out=s)
        np.multiply(s, 1 - self.rho, out=s)
        np.multiply(v, self.rho, out=v)
        np.add(v, s, out=v)
        np.sqrt(v, out=s)
        np.add(s, self.epsilon, out=s)
        np.divide(g, s, out=s)
        np.multiply(s, factors[0], out=s)
        np.subtract(p, s, out=p)


@dataclass(frozen=True)
class Adam(UpdateRule):
    """Adaptive moments; `beta1` β₁, `beta2` β₂, `epsilon` ε."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    name = "adam"
    slot_names = ("mean", "square")

    @property
    def constants(self) -> tuple[float, ...]:
        """β₁ and β₂."""
        return self.beta1, self.beta2

    def factors(self, rates: Sequence[float], first: int) -> Numbers:
        """Return η, and then η and ε as they stand before and beside m / √v.

        η m̂ / (√v̂ + ε), both fractions widened by √(1 − β₂ᵗ), saves a pass.
        """
        factors = super().factors(rates, first)
        for t, (rate, row) in enumerate(zip(rates, factors, strict=True), first):
            root = math.sqrt(1 - self.beta2**t)
            row[1:] = rate * root / (1 - self.beta1**t), self.epsilon * root
        return factors

    def _apply(self, p: Array, g: Array, s: Array, *slots: Array, factors: Factors) -> None:
        m, v = slots
        _, rate, epsilon = factors
        np.multiply(g, g, out=s)
        np.multiply(s, 1 - self.beta2, out=s)
        np.multiply(v, self.beta2, out=v)
        np.add(v, s, out=v)
        np.multiply(g, 1 - self.beta1, out=g)
        np.multiply(m, self.beta1, out=m)
        np.add(m, g, out=m)
        np.sqrt(v, out=s)
        np.add(s, epsilon, out=s)
        np.divide(m, s, out=s)
        np.multiply(s, rate, out=s)
        np.subtract(p, s, out=p)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with the decay taken out of the gradient and off the weights themselves."""

    name = "adamw"
    decoupled_decay = True


# By the names that a configuration uses.
OPTIMIZERS: dict[str, type[SGD | RMSProp | Adam]] = {
    "sgd": SGD,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}


class Optimizer:
    """Applies a rule to all parameters: clipping, and the walk over blocks.

    Parameters
    ----------
    rule
        The update rule.
    parameters, gradient
        (P,) vectors. `step` reads the second (and may overwrite it) and updates the first.
    weight_count
        The number of weights, which come first and decay.
    weight_decay
        λ ≥ 0.
    clip_norm
        c > 0, or None for no clipping.
    shares
        For each worker that calls `step`, the slices of the vectors that it owns. If it is None,
        one worker owns all.

    Attributes
    ----------
    slots
        The rule's own vectors (P,) by name. With the number of updates, all that resuming needs.
    """

    def __init__(
        self,
        rule: UpdateRule,
        parameters: Array,
        gradient: Array,
        weight_count: int,
        *,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        shares: Sequence[Sequence[slice]] | None = None,
    ) -> None:
        self.rule = rule
        self.gradient = gradient
        self.clip_norm = clip_norm
        self.slots = {name: np.zeros_like(parameters) for name in rule.slot_names}
        split = weight_count if weight_decay else 0
        self._blocks: list[list[Block]] = []
        for share in [[slice(0, len(parameters))]] if shares is None else shares:
            scratch = np.empty(min(BLOCK, len(parameters)), parameters.dtype)
            self._blocks.append(
                [
                    Block(
                        p=parameters[at],
                        g=gradient[at],
                        slots=[slot[at] for slot in self.slots.values()],
                        s=scratch[: at.stop - at.start],
                        decay=weight_decay if at.start < split else 0.0,
                    )
                    for at in _cut_into_blocks(share, split)
                ]
            )
        self._squares = np.zeros(len(self._blocks))

    def step(self, factors: Numbers, worker: int = 0, ops: Ops = NUMPY) -> None:
        """Update the parameters that a worker owns, with a row of the rule's `factors`.

        If there is clipping, the workers meet at a barrier.
        """
        blocks = self._blocks[worker]
        if self.clip_norm is not None:
            pieces = [block.g for block in blocks]
            ops.sum_squares(pieces, self._squares[worker : worker + 1])
            ops.barrier(worker)
            ops.clip(pieces, self.clip_norm, self._squares)
        for block in blocks:
            ops.update(self.rule, block, factors)


def _cut_into_blocks(share: Sequence[slice], split: int) -> Iterator[slice]:
    """Cut slices of a vector into blocks, with a cut at `split`, which is the end of decay."""
    for piece in share:
        middle = min(max(split, piece.start), piece.stop)
        for low, high in ((piece.start, middle), (middle, piece.stop)):
            for start in range(low, high, BLOCK):
                yield slice(start, min(start + BLOCK, high))
