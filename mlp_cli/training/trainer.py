"""The training loop.

An epoch walks a new order of the training rows, a function of (seed, epoch), chunk by chunk
(`steps`). A chunk of several minibatches is the unit of everything that may interrupt: after each
one the state is whole, a stop may be asked for, and a loss that is not finite ends the training.
Which step it was that went wrong, `divergence` finds out.

No file is touched here. `State` is all that a resumed training needs beside the parameters and the
optimizer's slots; every number in it goes through JSON unchanged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlp_cli.compute.kernels import Kernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.data.batches import epoch_keys, epoch_order
from mlp_cli.data.dataset import Dataset
from mlp_cli.data.distortion import Distortion
from mlp_cli.errors import DivergedError
from mlp_cli.nn.buffers import Array, Bits, Rows
from mlp_cli.nn.network import Network, rows_of
from mlp_cli.nn.optimizers import BLOCK, Optimizer
from mlp_cli.nn.schedules import Schedule
from mlp_cli.rng import generator
from mlp_cli.training.metrics import EpochMetrics, Scores
from mlp_cli.training.scoring import Scorer
from mlp_cli.training.steps import PLAIN, Regularisers, Steps

OnChunk = Callable[[float], bool]


@dataclass
class State:
    """Where a training stands. Times are in seconds; epochs count from 1."""

    epoch: int = 0  # epochs behind
    position: int = 0  # rows of the current epoch behind
    step: int = 0  # updates behind
    loss_sum: float = 0.0  # over the current epoch's rows behind
    correct: int = 0
    epoch_seconds: float = 0.0  # training time of the current epoch
    training_seconds: float = 0.0  # of all epochs, without validation and saving
    samples: int = 0  # rows trained on in `training_seconds`
    seconds: float = 0.0  # of all sittings, everything included
    best_epoch: int | None = None
    best_accuracy: float | None = None
    best_loss: float | None = None


class Trainer:
    """Trains a network on a data set, epoch by epoch.

    Parameters
    ----------
    network, optimizer, schedule, gradient
        The optimizer reads `gradient` (P,), which backpropagation writes.
    dataset, mean, std
        What to train on, and the inputs' scaling.
    seed, batch_size, epochs
        The order's seed, K, and where the training ends.
    patience
        Epochs without a better validation after which the training ends; None for never.
    regularisers, distortion
        What is added to the steps, and what is done to the images before.
    team, kernels
        The threads, and what runs their operations; the optimizer's parts are those that the
        members own.

    Attributes
    ----------
    vectors
        All that the steps change, by name: `parameters` and `statistics` are the network's,
        `optimizer.…` the optimizer's slots, `average.…` the averages of the first two.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        schedule: Schedule,
        dataset: Dataset,
        gradient: Array,
        *,
        mean: float,
        std: float,
        seed: int,
        batch_size: int,
        epochs: int,
        patience: int | None = None,
        regularisers: Regularisers = PLAIN,
        distortion: Distortion | None = None,
        team: ThreadTeam,
        kernels: Kernels,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.schedule = schedule
        self.dataset = dataset
        self.mean, self.std = mean, std
        self.seed = seed
        self.epochs = epochs
        self.patience = patience
        self.team = team
        self.state = State()
        self.regularisers = regularisers
        self.vectors = {"parameters": network.parameters, "statistics": network.statistics}
        if regularisers.average is not None:
            averages = {f"average.{name}": vector.copy() for name, vector in self.vectors.items()}
            self.vectors |= averages
        self.vectors |= {f"optimizer.{name}": slot for name, slot in optimizer.slots.items()}
        self._plain = network
        if network.batch_norm or regularisers.average is not None:
            self._plain = network.without_norm()
        self._scorer = None
        if len(dataset.validation):
            self._scorer = Scorer(self._plain, dataset.validation, mean, std, team, kernels)
        self.distortion = distortion
        self.steps = Steps(
            network, optimizer, gradient, dataset, mean, std, batch_size,
            regularisers, distortion, team, kernels,
        )  # fmt: skip
        self.K, self.chunk = self.steps.K, self.steps.chunk

    @property
    def finished(self) -> bool:
        """Whether the last epoch is behind, or patience is at an end."""
        state = self.state
        waited = state.epoch - (state.best_epoch or 0)
        return state.epoch >= self.epochs or (self.patience is not None and waited >= self.patience)

    @property
    def is_best(self) -> bool:
        """Whether the epoch just behind is the best so far on validation."""
        return self.state.best_epoch == self.state.epoch

    def train_epoch(self, on_chunk: OnChunk, rows: int | None = None) -> EpochMetrics | None:
        """Train to the end of the current epoch and validate.

        After each chunk `on_chunk(mean_loss)` is called; where it returns True and the epoch
        is not at its end, the training stops there and None is returned. The state is then as good
        as at an epoch's end, and another call goes on from it. A chunk ends where a multiple of
        `rows` are behind: K, or `chunk`, which they are where they are not given.

        Raises
        ------
        DivergedError
            At the first loss, or at the epoch's end a parameter, that is not finite.
        """
        state, n = self.state, len(self.dataset.train)
        rows = self.chunk if rows is None else rows
        started = time.perf_counter()
        order = epoch_order(self.seed, state.epoch, self.dataset.train.rows)
        keys = epoch_keys(self.seed, state.epoch, -(-n // self.K))
        while state.position < n:
            end = (state.position // rows + 1) * rows
            step = state.position // self.K
            loss = self._train_chunk(order[state.position : end], keys[step:])
            state.epoch_seconds += time.perf_counter() - started
            if on_chunk(loss) and state.position < n:
                return None
            started = time.perf_counter()
        self.check()
        return self._close_epoch(n)

    def check(self) -> None:
        """See that every parameter, and what the optimizer keeps of it, is finite.

        Raises
        ------
        DivergedError
            Where one is not.
        """
        for vector in self.vectors.values():
            if not np.isfinite(vector).all():
                raise DivergedError(self._diverged("a parameter"))

    @property
    def evaluated(self) -> tuple[Array, Array]:
        """The parameters (P,) and statistics (S,) that count: the averages, where there are any."""
        vectors = self.vectors
        if self.regularisers.average is not None:
            return vectors["average.parameters"], vectors["average.statistics"]
        return vectors["parameters"], vectors["statistics"]

    def _validate(self) -> Scores | None:
        """Score the network that counts on the validation set, where there is one."""
        if self._scorer is None:
            return None
        if self._plain is not self.network:
            self.network.fold(*self.evaluated, self._plain)
        scores = self._scorer.score()
        if not math.isfinite(scores.loss):
            raise DivergedError(self._diverged("the validation loss"))
        return scores

    def _train_chunk(self, rows: Rows, keys: Bits) -> float:
        """Train on the rows, batch by batch; return the mean loss."""
        state, n = self.state, len(rows)
        steps = range(state.step, state.step + -(-n // self.K))
        self._distort(state.epoch, state.position, n)
        rates = self.schedule.rates(steps)
        loss, correct = self.steps.take(rows, rates, steps.start + 1, keys)
        state.step = steps.stop
        if not math.isfinite(loss):
            raise DivergedError(self._diverged("the loss"))
        if self.regularisers.average is not None:
            self._average(n, self.regularisers.average)
        state.loss_sum += loss
        state.correct += correct
        state.position += n
        return loss / n

    def seen(self, row: int, epoch: int) -> Array:
        """Return the inputs x (inputs,) that a training image, by its row, is in an epoch from 0.

        To be called between epochs: it uses the buffers of training.
        """
        order = epoch_order(self.seed, epoch, self.dataset.train.rows)
        reader = self.steps.reader
        reader.rows[0] = row
        self._distort(epoch, int(np.flatnonzero(order == row)[0]), 1)
        x: Array = reader.read(0, 1)[0].copy()
        return x

    def _distort(self, epoch: int, position: int, n: int) -> None:
        """Draw the distortions of n rows, from a place on: a function of (seed, epoch, place)."""
        if self.distortion is None or self.steps.distorter is None:
            return
        chunk, offset = divmod(position, self.chunk)
        progress = (epoch + position / len(self.dataset.train)) / self.epochs
        drawn = generator(self.seed, "distortion", epoch, chunk)
        self.steps.distorter.begin(drawn, offset, n, self.distortion.strength(progress))

    def _average(self, n: int, epochs: float) -> None:
        """Move the averages towards the weights, as far as n rows take them.

        The first ones are plain means, so that the first weights are not remembered.
        """
        chunks = -(-self.state.step * self.K // self.chunk)
        share = max(-math.expm1(-n / (epochs * len(self.dataset.train))), 1 / chunks)

        def work(me: int) -> None:
            s = np.empty(BLOCK, self.network.dtype)
            for name in ("parameters", "statistics"):
                vector, average = self.vectors[name], self.vectors[f"average.{name}"]
                own = rows_of(me, self.team.size, len(vector))
                for start in range(own.start, own.stop, BLOCK):
                    at = slice(start, min(start + BLOCK, own.stop))
                    difference = np.subtract(vector[at], average[at], out=s[: at.stop - start])
                    np.multiply(difference, share, out=difference)
                    np.add(average[at], difference, out=average[at])

        self.team.run(work)

    def _close_epoch(self, n: int) -> EpochMetrics:
        """Validate, count the epoch as behind, and return its record."""
        state, started = self.state, time.perf_counter()
        scores = self._validate()
        metrics = EpochMetrics(
            epoch=state.epoch + 1,
            step=state.step,
            learning_rate=self.schedule(state.step - 1),
            train_loss=state.loss_sum / n,
            train_accuracy=state.correct / n,
            val_loss=scores.loss if scores else None,
            val_accuracy=scores.accuracy if scores else None,
            samples_per_second=n / state.epoch_seconds,
            seconds=state.epoch_seconds + time.perf_counter() - started,
        )
        state.epoch += 1
        state.training_seconds += state.epoch_seconds
        state.samples += n
        state.position, state.loss_sum, state.correct, state.epoch_seconds = 0, 0.0, 0, 0.0
        if scores and self._better(scores):
            state.best_epoch = state.epoch
            state.best_accuracy, state.best_loss = scores.accuracy, scores.loss
        return metrics

    def _better(self, scores: Scores) -> bool:
        state = self.state
        if state.best_accuracy is None or state.best_loss is None:
            return True
        return (scores.accuracy, -scores.loss) > (state.best_accuracy, -state.best_loss)

    def _diverged(self, what: str) -> str:
        state = self.state
        return (
            f"training diverged in epoch {state.epoch + 1}, by step {state.step}: {what} is not "
            "finite. Try a lower optimizer.learning_rate, schedule.warmup, or optimizer.clip_norm."
        )
