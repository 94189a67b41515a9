"""The program on one page: from a configuration to a trained network in its folder.

config ─→ data ─→ network, optimizer, schedule ─→ trainer ─→ metrics.jsonl
                                                     └─────→ last.npz, best.npz ─→ result.json
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.compute.machine import describe
from mlp_cli.compute.select import EngineChoice, build_engine
from mlp_cli.config.idle import idle_keys
from mlp_cli.config.load import dump_config, load_config
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Source
from mlp_cli.data.identity import known_data
from mlp_cli.errors import DivergedError
from mlp_cli.inference.model import Model
from mlp_cli.runs.claim import Mode, check_out, claim
from mlp_cli.runs.fetching import obtain_source, tell_found
from mlp_cli.runs.folder import RunFolder
from mlp_cli.runs.interruption import Interruption
from mlp_cli.runs.kernels import choose_kernels
from mlp_cli.runs.lock import in_use
from mlp_cli.runs.records import Result, read_steps
from mlp_cli.runs.resume import (
    check_best,
    environment_warnings,
    joined,
    restore,
    resumable,
    stored_config,
    stored_result,
)
from mlp_cli.runs.same_data import check_same_data, record_place
from mlp_cli.runs.saver import Saver
from mlp_cli.runs.summary import how_to_go_on, summary
from mlp_cli.runs.tensorboard import EventLog, check_tensorboard
from mlp_cli.storage.checkpoint import load_checkpoint
from mlp_cli.storage.files import exists
from mlp_cli.training.build import build_trainer
from mlp_cli.training.chance import chance_note, standing
from mlp_cli.training.divergence import ExaminedStep, find_first_bad_step
from mlp_cli.training.observer import Observer
from mlp_cli.training.scoring import Scorer
from mlp_cli.training.trainer import Trainer


@dataclass(frozen=True)
class RunOptions:
    """Where a training finds its data and leaves its results, and what computes it.

    `data_path` is where the data of a resumed run are now, None if its configuration says it.
    `source` holds the images if they are loaded already, and `lock` is a descriptor of the folder
    `out` that holds its lock already.
    """

    data_dir: Path
    mirrors: Sequence[str]
    out: Path | None
    mode: Mode
    config_name: str
    engine: EngineChoice
    data_path: Path | None = None
    resume_with: Sequence[str] = ()  # options of `mlp train` that a continuation needs too
    source: Source | None = None
    lock: int | None = None


def train_run(
    config: Config, options: RunOptions, observer: Observer, interruption: Interruption
) -> tuple[Path, dict[str, Any] | None]:
    """Train one network; return the folder of the run and its result, None if it was stopped.

    Raises
    ------
    MlpError
        The subclass says what went wrong; what was saved before stays.
    """
    started = time.monotonic()
    out, stored, result = options.out, None, None
    explained: AbstractContextManager[None] = nullcontext()
    if options.data_path is not None:
        moved_to = {"data.path": options.data_path}
        config = load_config(config, set=moved_to, warn=lambda _: None)  # the caller has warned
    if out is not None:
        check_out(out, options.mode)
        if options.mode == "resume":
            stored = stored_config(RunFolder(out), observer.warn)
        if stored is not None:
            config = resumable(config, stored, out)
            longer = config.training.epochs > stored.training.epochs
            result = stored_result(RunFolder(out), observer.warn, longer=longer)
            if result is not None and config.data.path == stored.data.path:
                return out, result
            explained = known_data(config.data.path, out, stored.data.path)
    if config.logging.tensorboard:
        check_tensorboard()
    for sentence in idle_keys(config):
        observer.warn(sentence)
    with explained:
        source = options.source
        if source is None:
            config, source = obtain_source(config, options.data_dir, options.mirrors, observer)
        dataset = source.split(config)
    folder, moved = claim(out, options.config_name), options.data_path is not None
    folder.lock.adopt(options.lock)
    if result is not None:  # of the same data, although data.path is another
        newest = folder.last if exists(folder.last) else folder.best
        check_same_data(load_checkpoint(newest), config, dataset, observer.warn, moved=moved)
        return folder.path, result
    with folder.locked(), ExitStack() as at_the_end:
        if out is not None:  # another process may have written here since
            check_out(out, options.mode)
            begun = exists(folder.last) or folder.has_trained
            if options.mode == "resume" and stored is None and begun:
                raise in_use(out)
        checkpoint = None
        if stored is not None and exists(folder.last):
            checkpoint = load_checkpoint(folder.last)
            check_same_data(checkpoint, config, dataset, observer.warn, moved=moved)
        with interruption.immediate():  # nothing is to be saved yet
            choice = choose_kernels(options.engine, config, dataset, checkpoint, observer.log)
            engine = build_engine(choice)
            at_the_end.callback(engine.threads.close)
            engine.compile(np.dtype(config.training.dtype), observer.warn, observer.log)
        with interruption.deferred():
            if options.mode == "overwrite":
                folder.clear()
            environment = describe(engine.workers, engine.kernels.name)
            trainer = build_trainer(config, dataset, engine)
            kernels = engine.kernels
            environment["first_layer"] = "no zeros" if kernels.skips_zeros else "whole"
            environment["hidden_layers"] = "no zeros" if kernels.skips_hidden_zeros else "whole"
            if checkpoint is not None:
                restore(trainer, checkpoint, config)
                check_best(folder, trainer.state)
                record_place(folder, checkpoint, config, dataset)
                for warning in environment_warnings(checkpoint, environment):
                    observer.warn(warning)
            earlier = read_steps(folder.divergence)
            _prepare(folder, config, environment, trainer.state.epoch, observer)
            tell_found(source, observer)
            observer.log(summary(config, trainer, folder.path, environment))
            events = None
            if config.logging.tensorboard:
                events = EventLog(folder, trainer, observer.warn)
                at_the_end.callback(events.close)
            sittings_before = trainer.state.seconds

            def elapsed() -> float:
                return sittings_before + time.monotonic() - started

            saver = Saver(trainer, config, environment, folder, elapsed)
            finished = _train(
                trainer, config, saver, folder, earlier, observer, interruption, events
            )
            if not finished:
                observer.log(how_to_go_on(trainer, folder.path, options.resume_with))
        return folder.path, _conclude(trainer, folder, elapsed) if finished else None


def _prepare(
    folder: RunFolder, config: Config, environment: dict[str, Any], epochs: int, observer: Observer
) -> None:
    """Make the folder ready for a training that continues after `epochs` finished epochs.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    folder.remove_outcome()
    folder.write_json(folder.env, environment)
    folder.write(folder.config, dump_config(config).encode())
    if folder.keep_metrics(epochs) < epochs:
        observer.warn(f"{folder.metrics} is missing lines for epochs that were already trained.")


def _train(
    trainer: Trainer,
    config: Config,
    saver: Saver,
    folder: RunFolder,
    earlier: Sequence[ExaminedStep],
    observer: Observer,
    interruption: Interruption,
    events: EventLog | None,
) -> bool:
    """Train to the end, saving now and then; return False if the training was asked to stop.

    Raises
    ------
    DivergedError
        With what went wrong, which stands in `divergence.json` too. `last.npz` then holds the
        training as it was before that.
    """
    epochs, rows = trainer.plan.epochs, len(trainer.dataset.train)

    def on_chunk(loss: float) -> bool:
        observer.chunk(trainer.state, epochs, rows, loss)
        saver.chunk_ended()
        return interruption.pending

    if not exists(folder.last):
        saver.save()  # so that even a first epoch that diverges leaves a checkpoint
    try:
        while not trainer.finished and not interruption.pending:
            metrics = trainer.train_epoch(on_chunk)
            if metrics is not None:
                if events is not None:
                    events.epoch(metrics)
                saver.epoch_ended(metrics)
                observer.epoch(metrics, epochs)
                if note := chance_note(trainer, config):
                    observer.warn(note)
    except DivergedError as error:
        noticed = trainer.state.step
        observer.log(f"{error} Looking for the step at which it began.")
        folder.lock.check()
        restore(trainer, load_checkpoint(folder.last), config)
        found = find_first_bad_step(trainer, noticed)
        if found is None:
            raise
        found = replace(found, steps=joined(earlier, found.steps))
        saver.save()
        folder.write_json(folder.divergence, found.to_dict())
        raise DivergedError(f"{found} More in {folder.divergence}.") from error
    saver.save()
    return trainer.finished


def _conclude(trainer: Trainer, folder: RunFolder, elapsed: Callable[[], float]) -> dict[str, Any]:
    """Score the test set, once, with the best checkpoint, and write `result.json`."""
    state, checkpoint = trainer.state, load_checkpoint(folder.best)
    best, then = Model(checkpoint), checkpoint.state()
    scores, found = None, standing(trainer)
    if trainer.dataset.test is not None:
        engine = trainer.engine._replace(kernels=NumPyKernels())
        scores = Scorer(best.network, trainer.dataset.test, best.scaling, engine).score()
    result = asdict(
        Result(
            dataset=trainer.dataset.name,
            epochs=state.epoch,
            best_epoch=then.best_epoch,
            val_accuracy=then.best_accuracy,
            test_accuracy=scores.accuracy if scores else None,
            test_errors=scores.errors if scores else None,
            test_error_ci95=list(scores.error_ci95) if scores else None,
            at_chance=found.at_chance if found else None,
            seconds=elapsed(),
            samples_per_second=state.samples / state.training_seconds,
        )
    )
    folder.write_result(result)
    return result
