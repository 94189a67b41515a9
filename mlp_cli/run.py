"""The program on one page: from a configuration to a trained network in its folder.

config ─→ data ─→ network, optimizer, schedule ─→ trainer ─→ metrics.jsonl
                                                     └─────→ last.npz, best.npz ─→ result.json
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mlp_cli.checkpoint import load_checkpoint, save_checkpoint
from mlp_cli.config import Config, dump_config
from mlp_cli.data import Dataset, generator, load_dataset, needed_files, pixel_statistics
from mlp_cli.environment import describe
from mlp_cli.errors import ConfigError, DataError, DownloadError
from mlp_cli.evaluate import Model
from mlp_cli.files import atomic_write
from mlp_cli.metrics import EpochMetrics, to_json
from mlp_cli.network import Network, owned
from mlp_cli.operations import Kernels, NumPyKernels
from mlp_cli.optimizer import OPTIMIZERS
from mlp_cli.resume import restore, resumable, stored_config
from mlp_cli.rundir import Mode, RunFolder, check_out, claim
from mlp_cli.schedule import Schedule
from mlp_cli.scoring import score
from mlp_cli.team import Team
from mlp_cli.trainer import State, Trainer

NOTABLE = 2.0  # seconds of compiling of which the user should know


class View(Protocol):
    """What a training shows of itself, and how it is asked to stop."""

    def log(self, message: str) -> None:
        """Tell how things go."""

    def warn(self, message: str) -> None:
        """Tell the user something that must not be missed."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """Show the bytes of a file that have arrived."""

    def chunk(self, state: State, total: int, loss: float) -> None:
        """Show that another chunk of the epoch's `total` rows is behind, at a mean loss."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Show the record of an epoch that is behind."""

    def stop(self) -> bool:
        """Whether the training should save itself and end."""

    def deferred(self) -> AbstractContextManager[None]:
        """Hold interruptions back, for `stop` to tell of them."""


@dataclass(frozen=True)
class Place:
    """Where a training finds its data and leaves its results."""

    data_dir: Path
    mirrors: Sequence[str]
    out: Path | None
    mode: Mode
    config_name: str


def train_run(
    config: Config, place: Place, threads: int, fast: bool, view: View
) -> tuple[Path, dict[str, Any] | None]:
    """Train one network; return the run's folder and its result, None where it was stopped.

    Raises
    ------
    MlpError
        As its subclasses say; what was saved before stays.
    """
    started = time.monotonic()
    stored = None
    if place.out is not None:
        check_out(place.out, place.mode)
        if place.mode == "resume":
            stored = stored_config(RunFolder(place.out))
        if stored is not None:
            config = resumable(config, stored, place.out)
            result = RunFolder(place.out).read_result()
            if result is not None and stored.training.epochs == config.training.epochs:
                return place.out, result
    config, dataset = obtain_data(config, place.data_dir, place.mirrors, view)
    folder = claim(place.out, place.config_name)
    with folder.locked():
        if place.mode == "overwrite":
            folder.clear()
        kernels = choose_kernels(fast)
        environment = describe(threads, kernels.name)
        trainer = build_trainer(config, dataset, Team(threads), kernels)
        if kernels.compile_seconds > NOTABLE:
            view.log(
                f"Compiled the kernels in {kernels.compile_seconds:.0f} s; "
                "the next training finds them ready."
            )
        if stored is not None and folder.last.exists():
            restore(trainer, load_checkpoint(folder.last), environment, view.warn)
        folder.remove_result()
        atomic_write(folder.env, (to_json(environment, indent=2) + "\n").encode())
        atomic_write(folder.config, dump_config(config).encode())
        folder.keep_metrics(trainer.state.epoch)
        sittings_before = trainer.state.seconds

        def elapsed() -> float:
            return sittings_before + time.monotonic() - started

        with view.deferred():
            finished = train(trainer, config, environment, folder, elapsed, view)
        return folder.path, conclude(trainer, folder, elapsed) if finished else None


def obtain_data(
    config: Config, data_dir: Path, mirrors: Sequence[str], view: View
) -> tuple[Config, Dataset]:
    """Load the data that a configuration names, fetching MNIST where that is allowed.

    Returns the configuration too: where MNIST cannot be had and `data.fallback` allows it, the one
    returned says `dataset: synthetic`.

    Raises
    ------
    DataError, DownloadError
        If the data are not to be had.
    """
    data = config.data
    try:
        try:
            return config, load_dataset(config, data_dir)
        except DataError:
            if data.path is not None or not data.download:
                raise
        from mlp_cli.download import fetch_mnist  # only where needed: its import takes 0.2 s

        files = needed_files(data.test)
        fetch_mnist(data_dir / "mnist", mirrors, files=files, log=view.log, progress=view.download)
        return config, load_dataset(config, data_dir)
    except (DataError, DownloadError) as error:
        if data.path is not None or data.fallback is None:
            raise
        view.warn(
            f"{error}\nThis is NOT MNIST: training on the built-in SYNTHETIC digits instead, "
            "as the configuration's data.fallback says."
        )
    synthetic = data.model_copy(update={"dataset": "synthetic"})
    config = config.model_copy(update={"data": synthetic})
    return config, load_dataset(config, data_dir)


def choose_kernels(fast: bool) -> Kernels:
    """Return what runs the operations of a step: compiled code, or NumPy.

    Raises
    ------
    ConfigError
        If Numba is installed and does not load, as where it does not know this NumPy yet.
    """
    if not fast:
        return NumPyKernels()
    try:
        from mlp_cli.fast import FastKernels  # its import takes a while, and needs the extra
    except ImportError as error:
        raise ConfigError(
            f"the compiled kernels do not load: {error}. Set MLP_KERNELS=numpy to train without "
            "them, or mend the extra: pip install 'mlp-cli[fast]'"
        ) from error
    return FastKernels()


def build_trainer(config: Config, dataset: Dataset, team: Team, kernels: Kernels) -> Trainer:
    """Make the network, its optimizer and its schedule, and the trainer that owns all three."""
    network = Network(
        (dataset.inputs, *config.model.hidden, dataset.classes),
        config.model.activation,
        config.loss,
        config.training.dtype,
    )
    assert config.model.init is not None  # resolved when it was read
    network.initialise(config.model.init, generator(config.seed, "initialise"))
    rule = config.optimizer.model_dump(exclude={"name", "learning_rate"})
    gradient = np.zeros_like(network.parameters)
    optimizer = OPTIMIZERS[config.optimizer.name](
        network.parameters,
        gradient,
        network.weight_count,
        parts=[owned(network, part, team.size) for part in range(team.size)],
        **rule,
    )
    batch_size = min(config.training.batch_size, len(dataset.train))
    schedule = Schedule(
        config.schedule.name,
        config.optimizer.learning_rate,
        epochs=config.training.epochs,
        steps_per_epoch=-(-len(dataset.train) // batch_size),
        **config.schedule.model_dump(exclude={"name"}),
    )
    mean, std = (0.0, 1.0) if config.data.scaling == "unit" else pixel_statistics(dataset.train)
    return Trainer(
        network,
        optimizer,
        schedule,
        dataset,
        gradient,
        mean=mean,
        std=std,
        seed=config.seed,
        batch_size=batch_size,
        epochs=config.training.epochs,
        patience=config.training.patience,
        team=team,
        kernels=kernels,
    )


def train(
    trainer: Trainer,
    config: Config,
    environment: dict[str, Any],
    folder: RunFolder,
    elapsed: Callable[[], float],
    view: View,
) -> bool:
    """Train to the end, saving after each epoch; return False where the view asked to stop."""

    def save(best: bool) -> None:
        trainer.state.seconds = elapsed()
        header = {
            "config": config.to_dict(),
            "data": {
                "name": trainer.dataset.name,
                "image_shape": list(trainer.dataset.image_shape),
                "classes": trainer.dataset.classes,
            },
            "state": asdict(trainer.state),
            "environment": environment,
        }
        weights = _arrays(trainer)
        slots = {f"optimizer.{name}": slot for name, slot in trainer.optimizer.slots.items()}
        if best:
            validated = config.data.validation > 0
            save_checkpoint(folder.best, weights if validated else {**weights, **slots}, header)
        save_checkpoint(folder.last, {**weights, **slots}, header)

    def on_chunk(loss: float) -> bool:
        view.chunk(trainer.state, len(trainer.dataset.train), loss)
        return view.stop()

    if not folder.last.exists():
        save(best=False)  # so that even a first epoch that diverges leaves a checkpoint
    while not trainer.finished:
        metrics = trainer.train_epoch(on_chunk)
        if metrics is not None:
            folder.append_metrics(metrics.to_json())
            view.epoch(metrics)
        save(best=metrics is not None and (trainer.is_best or config.data.validation == 0))
        if view.stop() and not trainer.finished:
            return False
    return True


def _arrays(trainer: Trainer) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    network = trainer.network
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays[f"layers.{layer}.weight"], arrays[f"layers.{layer}.bias"] = W, b
    arrays["input.mean"] = np.array(trainer.mean, network.dtype)
    arrays["input.std"] = np.array(trainer.std, network.dtype)
    return arrays


def conclude(trainer: Trainer, folder: RunFolder, elapsed: Callable[[], float]) -> dict[str, Any]:
    """Score the test set, once, with the best checkpoint, and write `result.json`."""
    state, best = trainer.state, Model(load_checkpoint(folder.best))
    scores = None
    if trainer.dataset.test is not None:
        scores = score(best.network, trainer.dataset.test, best.mean, best.std, trainer.team)
    result = {
        "dataset": trainer.dataset.name,
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "val_accuracy": state.best_accuracy,
        "test_accuracy": scores.accuracy if scores else None,
        "test_errors": scores.errors if scores else None,
        "test_error_ci95": list(scores.error_ci95) if scores else None,
        "seconds": elapsed(),
        "samples_per_second": state.samples / state.training_seconds,
    }
    folder.write_result(result)
    return result
