"""Load trained networks and predict with them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config
from mlp_cli.data.batches import InputScaling
from mlp_cli.data.dataset import Split, whole
from mlp_cli.data.distortion import Distorter
from mlp_cli.data.views import build_views
from mlp_cli.errors import CheckpointError, ConfigError, DataError, visible
from mlp_cli.nn.buffers import Array, Pixels
from mlp_cli.nn.network import Network
from mlp_cli.storage.checkpoint import Checkpoint, load_checkpoint
from mlp_cli.storage.files import exists, mode_of, storage_errors
from mlp_cli.storage.paths import given_path
from mlp_cli.training.scoring import Forward

NORM = "weight", "bias", "running_mean", "running_var"
SCALING = ("mean", "std")
TRAINING = "optimizer.", "average.", "decoder."  # what only training needs
MAX_LISTED = 10  # runs of a folder, the newest
LARGEST_LOGIT = 1e30  # well within float32, where differences and sums must be finite too


def trained_by(checkpoint: Checkpoint) -> Config:
    """Return the configuration that a checkpoint was trained with.

    Raises
    ------
    CheckpointError
        If its header holds none that this release knows.
    """
    try:
        return from_dict(checkpoint.header.get("config"), "its configuration")
    except ConfigError as error:
        raise checkpoint.unfit(str(error).removesuffix(".")) from error


class Model:
    """A trained network, the scaling of its inputs, and the configuration it was trained with.

    Attributes
    ----------
    path
        The checkpoint.
    network, scaling
        The network, without batch normalisation, which is folded into its weights; and the scaling
        of its inputs, which may be several views of an image.
    pixels
        The number of pixels of an image.
    config, data, image_shape, classes, epoch
        What it was trained with and on, and for how many epochs; None if the checkpoint does not
        say that.
    names
        The name of each class, empty if the classes are just numbered.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build the network that a checkpoint describes.

        Raises
        ------
        CheckpointError
            If header and arrays do not fit together.
        """
        self.path = checkpoint.path
        self.config = config = trained_by(checkpoint)
        self.data = data = checkpoint.data()
        sides = data.image_shape
        if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
            raise checkpoint.unfit(f"its data.image_shape is {sides}, not [height, width]")
        if not 0 < data.classes <= 256:  # labels are bytes
            raise checkpoint.unfit(f"its data.classes is {data.classes}, not 1 to 256")
        if len(data.names) not in (0, data.classes) or {*map(type, data.names)} - {str}:
            raise checkpoint.unfit(f"its data.names are not the names of {data.classes} classes")
        self.image_shape, self.classes = (sides[0], sides[1]), data.classes
        self.names = tuple(data.names)
        self.epoch = _epoch(checkpoint)
        self.pixels = sides[0] * sides[1]
        sizes = (self.pixels * len(config.data.views), *config.model.hidden, self.classes)
        dtype = config.training.dtype
        norm = config.model.batch_norm
        # So far the sizes are claims. No memory is taken for them before the arrays have them too.
        stored_parameters(checkpoint, sizes, norm, dtype)
        self.network = network = Network(
            sizes,
            config.model.activation,
            config.loss,
            dtype,
            batch_norm=norm,
            negative_slope=config.model.negative_slope,
        )
        others = [name for name in checkpoint.arrays if name.startswith(TRAINING)]
        restore_parameters(network, checkpoint, others)
        if norm:
            self.network = network.without_norm()
            network.fold(network.parameters, network.statistics, self.network)
        mean, std = (_scaling(checkpoint, f"input.{name}", sizes[0], dtype) for name in SCALING)
        if not (std > 0).all():
            raise checkpoint.unfit(f"its input.std is {std}, not above 0")
        self.scaling = InputScaling(mean, std, build_views(config.data.views, self.image_shape))

    def __repr__(self) -> str:
        """Return what the network is, and where it comes from, in one line."""
        network = "-".join(map(str, self.network.sizes))
        if self.config.model.hidden:
            network += f", {self.config.model.activation}"
        epoch = "?" if self.epoch is None else self.epoch
        origin = f"epoch {epoch}, trained on {self.data.name}, from {self.path}"
        return f"<Model {network}, {visible(origin)}>"

    def predict_proba(self, images: Pixels) -> Array:
        """Return the classes' probabilities (n, classes).

        Parameters
        ----------
        images
            `uint8`, (n, height, width) or (n, pixels), 0 to 255, as in MNIST: bright ink on black.
            The model makes its views of them itself.

        Raises
        ------
        DataError
            If they are of another type or shape.
        """
        z = self._logits_of(images)
        return np.exp(self.network.loss.log_probabilities(z))

    def predict(self, images: Pixels) -> NDArray[np.int64]:
        """Return the most likely class (n,) of each image; `images` as for `predict_proba`."""
        classes: NDArray[np.int64] = self._logits_of(images).argmax(axis=1)
        return classes

    def logits(self, split: Split) -> Array:
        """Return the last layer's weighted inputs z (n, classes), in the split's order."""
        return self.forward(split)()

    def forward(self, split: Split, distorter: Distorter | None = None) -> Callable[[], Array]:
        """Return a function that computes the `logits` of a split, valid until its next call.

        If there is a `distorter`, each call takes the images as they were distorted last.
        """
        compute = Forward(self.network, split, self.scaling, NumPyKernels(), distorter)

        def logits() -> Array:
            with np.errstate(over="ignore", invalid="ignore"):
                z, _, _ = compute()
            if not (np.abs(z) < LARGEST_LOGIT).all():
                raise CheckpointError(
                    f"{self.path}: its weights are so large that its outputs give no "
                    "probabilities. Use another checkpoint, or train again with a lower "
                    "optimizer.learning_rate."
                )
            return z

        return logits

    def _logits_of(self, images: Pixels) -> Array:
        images = np.asarray(images)
        pixels = self.pixels
        if images.dtype != np.uint8 or images.shape[1:] not in (self.image_shape, (pixels,)):
            height, width = self.image_shape
            raise DataError(
                f"images of type {images.dtype} and shape {images.shape}, but {self.path} takes "
                f"uint8 of shape (n, {height}, {width}) or (n, {pixels})."
            )
        if not len(images):
            return np.empty((0, self.classes), self.network.dtype)
        return self.logits(whole(images, np.zeros(len(images), np.uint8)))


def stored_parameters(
    checkpoint: Checkpoint, sizes: Sequence[int], batch_norm: bool, dtype: DTypeLike
) -> dict[str, Array]:
    """Return the arrays of a network with layers of these sizes, by the names of `Network.named`.

    Raises
    ------
    CheckpointError
        If one is missing, or of another shape or type.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (n, m) in enumerate(pairwise(sizes)):
        shapes |= {f"layers.{layer}.weight": (m, n), f"layers.{layer}.bias": (m,)}
        if batch_norm and layer < len(sizes) - 2:
            shapes |= {f"norms.{layer}.{name}": (m,) for name in NORM}
    return {name: checkpoint.array(name, shape, dtype) for name, shape in shapes.items()}


def restore_parameters(network: Network, checkpoint: Checkpoint, others: Iterable[str]) -> None:
    """Copy a checkpoint's parameters and statistics into a network.

    Raises
    ------
    CheckpointError
        As for `stored_parameters`; and if it holds other arrays than these, the scaling of the
        inputs and `others`.
    """
    stored = stored_parameters(checkpoint, network.sizes, network.batch_norm, network.dtype)
    checkpoint.check_names({*stored, *(f"input.{name}" for name in SCALING), *others})
    for name, array in network.named(network.parameters, network.statistics).items():
        array[...] = stored[name]


def _epoch(checkpoint: Checkpoint) -> int | None:
    """Return the number of finished epochs, of which a damaged or later header may hold no record.

    To predict, the state of the training is not needed. So a fault in it is no error.
    """
    state = checkpoint.header.get("state")
    epoch = state.get("epoch") if isinstance(state, dict) else None
    return epoch if type(epoch) is int else None


def _scaling(checkpoint: Checkpoint, name: str, inputs: int, dtype: DTypeLike) -> Array:
    found = checkpoint.arrays.get(name)
    shape = (inputs,) if found is not None and found.ndim else ()
    return checkpoint.array(name, shape, dtype)


def load(run_or_checkpoint: str | os.PathLike[str]) -> Model:
    """Load a trained network: a checkpoint, or the folder of a run, which means its `best.npz`.

    Raises
    ------
    ConfigError
        If there is none, or if `given_path` refuses the path.
    CheckpointError
        If it is damaged.
    StorageError
        If it may not be read.
    """
    path = given_path(run_or_checkpoint)
    with storage_errors("read", path):
        is_run = stat.S_ISDIR(mode_of(path) or 0)
        if is_run and not exists(path / "best.npz"):
            raise ConfigError(
                told_runs(path)
                or f"{path}: the folder holds no best.npz. Give a run that finished an epoch."
            )
    path = path / "best.npz" if is_run else path
    return Model(load_checkpoint(path))


def told_runs(folder: Path) -> str:
    """Return a message that names the runs in a folder of runs or of a sweep; "" if it has none.

    Raises
    ------
    StorageError
        If the folder cannot be read.
    """
    with storage_errors("read", folder):
        found = [
            best
            for place in ("*", "trials/*/*", "confirm/*/*")
            for best in folder.glob(f"{place}/best.npz")
            if best.is_file()
        ]
        runs = [best.parent for best in sorted(found, key=lambda best: best.stat().st_mtime_ns)]
    if not runs:
        return ""
    listed = ", ".join(run.relative_to(folder).as_posix() for run in runs[-MAX_LISTED:])
    if len(runs) > MAX_LISTED:
        listed = f"{len(runs) - MAX_LISTED:,} others, {listed}"
    return f"{folder}: a folder of runs, not a run. It holds {listed}. Did you mean {runs[-1]}?"
