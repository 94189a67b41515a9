"""Minibatches: the order of an epoch's rows, and how they reach the network.

The order, and the keys of what is drawn in each step, are functions of (seed, epoch). A
`BatchReader` turns rows of a split into the network's inputs and targets, in buffers made once.
"""

from __future__ import annotations

import numpy as np

from mlp_cli.data.dataset import Split
from mlp_cli.data.distortion import Distorter
from mlp_cli.nn.buffers import Array, Bits, Rows
from mlp_cli.nn.ops import NUMPY, Operations
from mlp_cli.rng import generator


def epoch_order(seed: int, epoch: int, rows: Rows) -> Rows:
    """Return the rows in the order of one epoch (counted from 0), a function of the arguments."""
    return generator(seed, "order", epoch).permutation(rows)


def epoch_keys(seed: int, epoch: int, steps: int) -> Bits:
    """Return the key of what is drawn in each step of one epoch, a function of the arguments."""
    return generator(seed, "dropout", epoch).integers(0, 2**64, steps, np.uint64)


def one_hot(classes: int, smoothing: float, dtype: np.dtype[np.floating]) -> Array:
    """Return the targets (classes, classes): 1 − ε + ε/c at the class, and ε/c elsewhere.

    ε is the label smoothing (Szegedy et al., 2016, section 7).
    """
    return np.asarray(np.eye(classes) * (1 - smoothing) + smoothing / classes, dtype)


class BatchReader:
    """Reads rows of a split as (pixel / 255 − mean) / std, with their targets, into fixed buffers.

    Parameters
    ----------
    split, classes
        Where from, and how many classes a target has.
    mean, std
        Scalars or (inputs,) arrays.
    capacity
        Rows that the buffers of targets and labels hold.
    dtype
        float32 or float64.
    at_once
        Rows that one `read` takes at most; the capacity, if it is not given.
    smoothing
        As for `one_hot`.
    distorter
        Distorts the images that are read, where it is given.

    Attributes
    ----------
    rows
        (capacity,) which images to read: the caller's to fill.
    y, labels
        (capacity, classes) and (capacity,): what has been read since.
    """

    def __init__(
        self,
        split: Split,
        classes: int,
        mean: float | Array,
        std: float | Array,
        capacity: int,
        dtype: np.dtype[np.floating],
        at_once: int | None = None,
        smoothing: float = 0.0,
        distorter: Distorter | None = None,
    ) -> None:
        at_once = capacity if at_once is None else at_once
        self._split = split
        self._distorter = distorter
        self._scale = np.asarray(1 / (255 * np.asarray(std, np.float64)), dtype)
        self._shift = np.asarray(np.asarray(mean, np.float64) / std, dtype)
        self._one_hot = one_hot(classes, smoothing, dtype)
        inputs = split.images.shape[1]
        self._pixels = np.empty((at_once, inputs), np.uint8)
        # Two, where more is to come: a thread may read into the one while another, a step behind,
        # still computes with the other.
        self._x = [
            np.empty((at_once, inputs), dtype) for _ in range(2 if at_once < capacity else 1)
        ]
        self._classes = np.empty(at_once, np.int64)
        self.rows = np.zeros(capacity, np.int64)
        self.labels = np.empty(capacity, np.uint8)
        self.y = np.empty((capacity, classes), dtype)

    def read(
        self, start: int, stop: int, part: int = 0, parts: int = 1, do: Operations = NUMPY
    ) -> Array:
        """Read the images `rows[start:stop]`: return inputs x (stop − start, inputs).

        x is a view of a buffer, good until the call after the next, or the next where one call
        reads all. Of several threads, each reads one of the parts, and x is whole when all have.
        """
        n = stop - start
        low, high = n * part // parts, n * (part + 1) // parts
        at = slice(start + low, start + high)
        rows, soon = self.rows[at], self.rows[stop + low : stop + high]
        whole = self._x[start // len(self._pixels) % len(self._x)]
        x, pixels, split = whole[low:high], self._pixels[low:high], self._split
        if self._distorter is None:
            do.read(split.images, rows, soon, x, self._scale, self._shift, pixels)
        else:
            scale, shift = self._scale, self._shift
            self._distorter.read(split.images, rows, start + low, x, scale, shift, part, do)
        classes = self._classes[low:high]
        do.look_up(split.labels, rows, self.labels[at], self._one_hot, self.y[at], classes)
        return whole[:n]
