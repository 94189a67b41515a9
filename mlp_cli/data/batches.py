"""Minibatches: the order of the rows of an epoch, and how they reach the network.

The order, and the keys of what is drawn in each step, are functions of (seed, epoch). A
`BatchReader` turns rows of a split into inputs and targets of the network, in buffers made once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlp_cli.data.dataset import Split
from mlp_cli.data.distortion import Distorter
from mlp_cli.data.views import Viewer, Views
from mlp_cli.nn.buffers import Array, Bits, Rows
from mlp_cli.nn.ops import NUMPY, Ops
from mlp_cli.nn.rng import generator


def epoch_order(seed: int, epoch: int, rows: Rows) -> Rows:
    """Return the rows in the order of an epoch, counted from 0: a function of the arguments."""
    return generator(seed, "order", epoch).permutation(rows)


def epoch_keys(seed: int, epoch: int, steps: int) -> Bits:
    """Return the key of each step of an epoch, counted from 0: a function of the arguments.

    Dropout and noise of a step are functions of its key.
    """
    return generator(seed, "dropout", epoch).integers(0, 2**64, steps, np.uint64)


class InputScaling(NamedTuple):
    """The network sees (pixel / 255 − mean) / std of each view of an image.

    Mean and std are scalars or arrays (inputs,). `views` is None if there is only the image itself.
    """

    mean: float | Array = 0.0
    std: float | Array = 1.0
    views: Views | None = None


def standard_scaling(split: Split) -> InputScaling:
    """Return the scaling to mean 0 and deviation 1 over all pixels of a split.

    The pixels are those of the images themselves, not of their views. The deviation is taken as 1
    if all pixels are equal, so that it can be divided by.
    """
    counts = np.zeros(256, np.int64)
    for start in range(0, len(split), 1000):  # in parts: bincount copies to 64 bits
        counts += np.bincount(split.images[split.rows[start : start + 1000]].ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = float(counts @ values / counts.sum())
    deviation = float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum()))
    return InputScaling(mean, deviation or 1.0)


def one_hot(classes: int, smoothing: float, dtype: np.dtype[np.floating]) -> Array:
    """Return the targets (classes, classes): 1 − ε + ε/c at the class, and ε/c elsewhere.

    ε is the label smoothing (Szegedy et al., 2016, section 7).
    """
    return np.asarray(np.eye(classes) * (1 - smoothing) + smoothing / classes, dtype)


class BatchReader:
    """Reads rows of a split, scaled, with their targets, into buffers made once.

    Parameters
    ----------
    split, classes
        The images and labels, and the number of classes of a target.
    scaling
        Of the inputs.
    capacity
        Rows that the buffers of targets and labels hold.
    dtype
        float32 or float64.
    at_once
        The most rows that one `read` takes. If it is None, it is the capacity.
    smoothing
        The ε of `one_hot`.
    distorter
        Distorts the images that are read; None leaves them as they are.
    workers
        The number of threads that read, each its share of the images.

    Attributes
    ----------
    rows
        (capacity,) which images to read. The caller fills it.
    y, labels
        (capacity, classes) and (capacity,): what was read since.
    """

    def __init__(
        self,
        split: Split,
        classes: int,
        scaling: InputScaling,
        capacity: int,
        dtype: np.dtype[np.floating],
        at_once: int | None = None,
        smoothing: float = 0.0,
        distorter: Distorter | None = None,
        workers: int = 1,
    ) -> None:
        at_once = capacity if at_once is None else at_once
        self._split = split
        self._distorter = distorter
        mean, std, views = scaling
        self._scale = np.asarray(1 / (255 * np.asarray(std, np.float64)), dtype)
        self._shift = np.asarray(np.asarray(mean, np.float64) / std, dtype)
        self._one_hot = one_hot(classes, smoothing, dtype)
        inputs = split.images.shape[1]
        self._pixels = np.empty((at_once, inputs), np.uint8)
        self._viewer = None
        if views is not None:
            inputs *= len(views.views)
            self._viewer = Viewer(views, self._scale, self._shift, dtype)
        # Several workers need two buffers if one read does not take all: a worker may read into
        # one of them while another, a step behind, still computes with the other.
        buffers = 2 if workers > 1 and at_once < capacity else 1
        self._x = [np.empty((at_once, inputs), dtype) for _ in range(buffers)]
        self._workers = workers
        self._classes = np.empty(at_once, np.int64)
        self.rows = np.zeros(capacity, np.int64)
        self.labels = np.empty(capacity, np.uint8)
        self.y = np.empty((capacity, classes), dtype)

    def read(self, start: int, stop: int, worker: int = 0, ops: Ops = NUMPY) -> Array:
        """Read the images `rows[start:stop]`: return inputs x (stop − start, inputs).

        x is a view of a buffer, and is whole when each worker has read its share. The next read
        overwrites it or, with several workers, the read after that.
        """
        n, workers = stop - start, self._workers
        low, high = n * worker // workers, n * (worker + 1) // workers
        at = slice(start + low, start + high)
        rows, prefetch_rows = self.rows[at], self.rows[stop + low : stop + high]
        whole = self._x[start // len(self._pixels) % len(self._x)]
        x, pixels, split = whole[low:high], self._pixels[low:high], self._split

        def read_images(own: slice, x: Array, scale: Array, shift: Array) -> None:
            images, taken = split.images, rows[own]
            if self._distorter is None:
                ops.read_images(images, taken, prefetch_rows[own], x, scale, shift, pixels[own])
            else:
                first = start + low + own.start
                self._distorter.read(images, taken, first, x, scale, shift, worker, ops)

        if self._viewer is None:
            read_images(slice(0, len(rows)), x, self._scale, self._shift)
        else:
            self._viewer.read(read_images, split.images, x, worker, ops)
        classes = self._classes[low:high]
        ops.look_up(split.labels, rows, self.labels[at], self._one_hot, self.y[at], classes)
        return whole[:n]

    def x(self, n: int) -> Array:
        """Return the inputs x (n, inputs) that a read of the first n rows left."""
        return self._x[0][:n]
