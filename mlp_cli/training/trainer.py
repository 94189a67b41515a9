"""The training loop.

An epoch walks over a new order of the training rows, a function of (seed, epoch), chunk by chunk
(`steps`). A chunk of several minibatches is the unit of everything that may interrupt: after each
one the state is complete, a stop may be asked for, and a loss that is not finite ends the training.
`divergence` finds out which step went wrong.

No file is touched here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlp_cli.compute.engine import Engine
from mlp_cli.config.sections import DistortionConfig
from mlp_cli.data.batches import InputScaling, epoch_keys, epoch_order
from mlp_cli.data.dataset import Dataset
from mlp_cli.errors import DivergedError
from mlp_cli.nn.buffers import Array, Bits, Rows
from mlp_cli.nn.network import Network
from mlp_cli.nn.optimizers import Optimizer
from mlp_cli.nn.rng import generator
from mlp_cli.nn.schedules import Schedule
from mlp_cli.storage.header import State
from mlp_cli.training.averages import move_average
from mlp_cli.training.metrics import EpochMetrics, Scores
from mlp_cli.training.scoring import Scorer
from mlp_cli.training.statistics import CleanStatistics
from mlp_cli.training.steps import PLAIN, ExaminedBatch, Minibatch, Regularisers, Steps

OnChunk = Callable[[float], bool]


@dataclass(frozen=True)
class Plan:
    """How a training goes: the seed of the order, K, the last epoch, and early stopping.

    `patience` is the number of epochs without a better validation after which the training ends;
    None for never. `clean_statistics` is whether to evaluate with `CleanStatistics`.
    """

    seed: int
    batch_size: int
    epochs: int
    patience: int | None = None
    clean_statistics: bool = False


class Trainer:
    """Trains a network on a data set, epoch by epoch.

    Parameters
    ----------
    network, optimizer, schedule
        The network, and what updates it at which rates.
    dataset, scaling
        What to train on, and the scaling of the inputs.
    plan
        How the training goes.
    engine
        The threads and the kernels. The optimizer's shares are those that its workers own.
    regularisers, distortion
        What is added to the steps, and how images are distorted before; None leaves them.

    Attributes
    ----------
    vectors
        All that the steps change, by name: `parameters` and `statistics` of the network,
        `optimizer.…` the slots of the optimizer, `average.…` the averages of the first two.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        schedule: Schedule,
        dataset: Dataset,
        scaling: InputScaling,
        plan: Plan,
        engine: Engine,
        regularisers: Regularisers = PLAIN,
        distortion: DistortionConfig | None = None,
    ) -> None:
        self.network = network
        self.schedule = schedule
        self.dataset = dataset
        self.scaling = scaling
        self.plan = plan
        self.engine = engine
        self.regularisers = regularisers
        self.state = State()
        self.vectors = {"parameters": network.parameters, "statistics": network.statistics}
        if regularisers.average is not None:
            averages = {f"average.{name}": vector.copy() for name, vector in self.vectors.items()}
            self.vectors |= averages
        self.vectors |= {f"optimizer.{name}": slot for name, slot in optimizer.slots.items()}
        self._evaluated_network = network
        if network.batch_norm or regularisers.average is not None:
            self._evaluated_network = network.without_norm()
        self._statistics = None
        if plan.clean_statistics and len(network.statistics):
            self._statistics = CleanStatistics(network, dataset.train, scaling, engine)
        self._scorer = None
        if len(dataset.validation):
            self._scorer = Scorer(self._evaluated_network, dataset.validation, scaling, engine)
        self.steps = Steps(
            network, optimizer, dataset, scaling, plan.batch_size, regularisers, distortion, engine
        )
        self.K, self.chunk = self.steps.K, self.steps.chunk

    @property
    def finished(self) -> bool:
        """Whether the last epoch is finished, or patience has run out."""
        state, plan = self.state, self.plan
        waited = state.epoch - (state.best_epoch or 0)
        return state.epoch >= plan.epochs or (plan.patience is not None and waited >= plan.patience)

    @property
    def is_best(self) -> bool:
        """Whether the epoch that was finished last is the best so far on validation."""
        return self.state.best_epoch == self.state.epoch

    @property
    def evaluated(self) -> tuple[Array, Array]:
        """The parameters (P,) and statistics (S,) to evaluate: the averages, if there are any."""
        of = "" if self.regularisers.average is None else "average."
        parameters = self.vectors[f"{of}parameters"]
        if self._statistics is not None:
            return parameters, self._statistics.at(self.state.step, parameters)
        return parameters, self.vectors[f"{of}statistics"]

    def train_epoch(self, on_chunk: OnChunk, rows: int | None = None) -> EpochMetrics | None:
        """Train to the end of the current epoch and validate.

        After each chunk, `on_chunk(mean_loss)` is called. If it returns True before the end of the
        epoch, the training stops there and None is returned. The state is complete, so another call
        continues from it. A chunk ends after a multiple of `rows` rows: K, or `chunk`, the default.

        Raises
        ------
        DivergedError
            At the first loss, or at the end of the epoch a parameter, that is not finite.
        """
        state, n = self.state, len(self.dataset.train)
        rows = self.chunk if rows is None else rows
        started = time.perf_counter()
        order, keys = self._order_and_keys(state.epoch)
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
        """Check that every parameter, and what the optimizer keeps of it, is finite.

        Raises
        ------
        DivergedError
            If one is not.
        """
        for vector in self.vectors.values():
            if not np.isfinite(vector).all():
                raise DivergedError(self._diverged("a parameter"))

    def next_batch(self) -> Minibatch:
        """Return the minibatch of the next step."""
        state = self.state
        order, keys = self._order_and_keys(state.epoch)
        step = state.position // self.K
        rows = order[state.position : state.position + self.K]
        return Minibatch(rows, keys[step : step + 1])

    def examine(self, batch: Minibatch) -> ExaminedBatch:
        """Compute the next minibatch exactly as it will be trained, without its update.

        Running statistics of batch normalisation move, as in a step.
        """
        self._distort(self.state.epoch, self.state.position, len(batch.rows))
        return self.steps.examine(batch)

    def seen(self, row: int, epoch: int) -> Array:
        """Return the inputs x (inputs,) that a training image is in an epoch, counted from 0.

        It is the image before noise and dropout. Call it between epochs: it uses the buffers of
        training.
        """
        order, _ = self._order_and_keys(epoch)
        reader = self.steps.reader
        reader.rows[0] = row
        self._distort(epoch, int(np.flatnonzero(order == row)[0]), 1)
        for worker in range(self.engine.workers):  # the shares of all of them
            x = reader.read(0, 1, worker)
        seen: Array = x[0].copy()
        return seen

    def _order_and_keys(self, epoch: int) -> tuple[Rows, Bits]:
        train, seed = self.dataset.train, self.plan.seed
        steps = -(-len(train) // self.K)
        return epoch_order(seed, epoch, train.rows), epoch_keys(seed, epoch, steps)

    def _distort(self, epoch: int, position: int, n: int) -> None:
        """Draw the distortions of n rows from a place on: a function of (seed, epoch, place)."""
        if self.steps.distorter is None:
            return
        chunk, offset = divmod(position, self.chunk)
        progress = (epoch + position / len(self.dataset.train)) / self.plan.epochs
        of_chunk = generator(self.plan.seed, "distortion", epoch, chunk)
        self.steps.distorter.begin(of_chunk, offset, n, progress)

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

    def _average(self, n: int, epochs: float) -> None:
        """Move the averages towards the weights, by the share that n rows are worth.

        The first averages are plain means, so that the first weights are forgotten.
        """
        chunks = -(-self.state.step * self.K // self.chunk)
        share = max(-math.expm1(-n / (epochs * len(self.dataset.train))), 1 / chunks)
        for name in ("parameters", "statistics"):
            move_average(self.vectors[f"average.{name}"], self.vectors[name], share, self.engine)

    def _close_epoch(self, n: int) -> EpochMetrics:
        """Validate, count the epoch as finished, and return its record."""
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
        state.best_train_accuracy = max(state.best_train_accuracy or 0.0, metrics.train_accuracy)
        state.training_seconds += state.epoch_seconds
        state.samples += n
        state.position, state.loss_sum, state.correct, state.epoch_seconds = 0, 0.0, 0, 0.0
        if scores and self._better(scores):
            state.best_epoch = state.epoch
            state.best_accuracy, state.best_loss = scores.accuracy, scores.loss
        return metrics

    def _validate(self) -> Scores | None:
        """Score the evaluated network on the validation set, if there is one."""
        if self._scorer is None:
            return None
        if self._evaluated_network is not self.network:
            self.network.fold(*self.evaluated, self._evaluated_network)
        scores = self._scorer.score()
        if not math.isfinite(scores.loss):
            raise DivergedError(self._diverged("the validation loss"))
        return scores

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
