"""TensorBoard's event files in a run's folder: curves, histograms and mistakes of each epoch.

The step of an event is its epoch. Each sitting of a run writes a file of its own, because an open
TensorBoard continues to read a file where it stopped. A run that is resumed first removes the
events of the epochs that it trains again, so no epoch is there twice.

tensorboardX makes the events, and Pillow the pictures. The extra `tensorboard` installs both.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlp_cli.errors import ConfigError, reason
from mlp_cli.nn.buffers import Array
from mlp_cli.runs.folder import RunFolder
from mlp_cli.storage.files import sync_file
from mlp_cli.storage.remedies import remedy
from mlp_cli.training.metrics import EpochMetrics
from mlp_cli.training.scoring import Forward
from mlp_cli.training.trainer import Trainer

BINS = 64  # of a histogram
LARGEST = 1 << 26  # bytes of an event, which has about 50 KB; a longer one is damaged
COLUMNS, MOST = 6, 24  # mistakes in a row of their picture, and in all
SIDE, CAPTION = 56, 14  # pixels: the longer side of an image, and the height of its caption


def check_tensorboard() -> None:
    """Check that events can be written; call this before anything is made.

    Raises
    ------
    ConfigError
        If the extra `tensorboard` is not installed.
    """
    if find_spec("tensorboardX") is None or find_spec("PIL") is None:
        raise ConfigError(
            "logging.tensorboard needs the extra `tensorboard`: pip install 'mlp-cli[tensorboard]'"
        )


class EventLog:
    """Writes the events of one sitting. If that fails, the training continues without them.

    Parameters
    ----------
    folder, trainer
        The run's folder, which is locked, and its trainer where the sitting begins.
    warn
        Is told why there are no more events.

    Raises
    ------
    ConfigError
        As `FolderLock.check`.
    """

    def __init__(self, folder: RunFolder, trainer: Trainer, warn: Callable[[str], object]) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._trainer, self._warn = trainer, warn
        self._evaluated, self._forward = trainer.network.without_norm(), None
        if len(trainer.dataset.validation):
            self._forward = Forward(
                self._evaluated,
                trainer.dataset.validation,
                trainer.scaling,
                trainer.engine.kernels,
            )
        folder.lock.check()
        self._path, self._file = folder.path, None
        try:
            for path in folder.event_files():
                _keep_epochs(path, trainer.state.epoch)
            last = max((int(path.name.split(".")[3]) for path in folder.event_files()), default=0)
            self._path = folder.path / f"events.out.tfevents.{last + 1:010d}.mlp"
            self._file = self._path.open("xb", buffering=0)
            # An open TensorBoard then forgets what it read of the epochs that are trained again.
            begins = SessionLog(status=SessionLog.START)
            self._write(
                Event(wall_time=time.time(), file_version="brain.Event:2"),
                Event(wall_time=time.time(), step=trainer.state.epoch + 1, session_log=begins),
            )
        except OSError as error:
            self._give_up(error)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Write the event of an epoch that the trainer has just finished."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if self._file is None:
            return
        summary = Summary()
        with np.errstate(all="ignore"):
            for part in self._parts(metrics):
                summary.MergeFrom(part)
        try:
            self._write(Event(wall_time=time.time(), step=metrics.epoch, summary=summary))
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file. Later epochs are not written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _parts(self, metrics: EpochMetrics) -> Iterator[Any]:
        from tensorboardX import summary

        scalars = {
            "loss/train": metrics.train_loss,
            "loss/validation": metrics.val_loss,
            "accuracy/train": metrics.train_accuracy,
            "accuracy/validation": metrics.val_accuracy,
            "learning_rate": metrics.learning_rate,
            "samples_per_second": metrics.samples_per_second,
        }
        yield from (summary.scalar(tag, of) for tag, of in scalars.items() if of is not None)
        network = self._trainer.network
        vectors = {"parameters": network.parameters, "gradients": self._gradient()}
        for tag, vector in vectors.items():
            for name, arrays in network.views(vector)._asdict().items():
                for layer, array in enumerate(arrays):
                    finite = array[np.isfinite(array)]
                    with suppress(ValueError):  # there is none, or they are too close for bins
                        yield summary.histogram(f"{tag}/{name}.{layer}", finite, BINS)
        if (mistakes := self._mistakes()) is not None:
            yield summary.image("mistakes", mistakes, dataformats="HW")

    def _gradient(self) -> Array:
        """Return the gradient (P,) of the next minibatch, and leave the training as it is."""
        statistics = self._trainer.network.statistics
        before = statistics.copy()
        gradient = self._trainer.examine(self._trainer.next_batch()).passes.gradient
        statistics[...] = before
        return gradient

    def _mistakes(self) -> NDArray[np.uint8] | None:
        """Draw the misclassified validation images of the largest losses, None without any."""
        if self._forward is None:
            return None
        trainer = self._trainer
        trainer.network.fold(*trainer.evaluated, self._evaluated)
        z, y, labels = self._forward()
        losses = trainer.network.loss.values(z, y)
        taken = z.argmax(axis=1)
        wrong = np.flatnonzero(taken != labels)
        if not len(wrong):
            return None
        worst = wrong[np.argsort(-losses[wrong], kind="stable")][:MOST]
        split = trainer.dataset.validation
        images = split.images[split.rows[worst]].reshape(-1, *trainer.dataset.image_shape)
        return _sheet(images, [f"{labels[i]} as {taken[i]}" for i in worst])

    def _write(self, *events: Any) -> None:
        """Append events in one write, whole or not at all."""
        assert self._file is not None
        rest = memoryview(b"".join(map(_record, events)))
        before = os.fstat(self._file.fileno()).st_size
        try:
            while rest:  # a disk that gets full takes a part of it first
                rest = rest[self._file.write(rest) :]
            sync_file(self._file, self._path)
        except OSError:
            with suppress(OSError):
                self._file.truncate(before)
            raise

    def _give_up(self, error: OSError) -> None:
        self._warn(
            f"{self._path}: the events for TensorBoard cannot be written: {reason(error)}. The "
            f"training continues without them. {remedy(error)}"
        )
        self.close()


def _record(event: Any) -> bytes:
    """Return an event as its file holds it: after its length, and both with their checksums."""
    from tensorboardX.record_writer import masked_crc32c

    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    parts = (length, data)
    return b"".join(part + struct.pack("<I", masked_crc32c(part)) for part in parts)


def _keep_epochs(path: Path, epochs: int) -> None:
    """Keep the events of the first `epochs` epochs in a file; remove a file that has none."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    kept = 0
    with path.open("rb") as file:
        while len(start := file.read(12)) == 12:
            (length,) = struct.unpack("<Q", start[:8])
            data = file.read(min(length, LARGEST))
            if len(file.read(4)) < 4:  # a kill may leave a part of an event
                break
            try:
                event = Event.FromString(data)
            except DecodeError:
                break
            if event.step > epochs:
                break
            if event.HasField("summary"):
                kept = file.tell()
    if kept:
        os.truncate(path, kept)
    else:
        path.unlink()


def _sheet(images: NDArray[np.uint8], captions: Sequence[str]) -> NDArray[np.uint8]:
    """Draw images (n, height, width), each with its caption below."""
    from PIL import Image, ImageDraw

    n, *sides = images.shape
    height, width = (max(1, round(side * SIDE / max(sides))) for side in sides)
    across, down = max(width, SIDE) + 4, height + CAPTION
    sheet = Image.new("L", (COLUMNS * across, -(-n // COLUMNS) * down))
    draw = ImageDraw.Draw(sheet)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = place % COLUMNS * across, place // COLUMNS * down
        sheet.paste(Image.fromarray(image).resize((width, height)), (left, top))
        draw.text((left, top + height), caption, fill=255)
    return np.asarray(sheet)
