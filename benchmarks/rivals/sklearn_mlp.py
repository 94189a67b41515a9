"""scikit-learn: `MLPClassifier`, with one `partial_fit` per epoch, on images scaled in advance.

The classifier accepts only floats. So the images are scaled once, outside the measured time, and
take at least four times the memory of the pixels.
"""

from __future__ import annotations

import numpy as np
import sklearn
from lib.workload import CLASSES, Workload
from numpy.typing import NDArray
from rivals.mnist import SCALE, first_weights, read_mnist, share_right
from sklearn.neural_network import MLPClassifier


class SameStart(MLPClassifier):
    """The classifier, with the same initial weights as the other contenders."""

    def _init_coef(self, fan_in: int, fan_out: int, dtype: type) -> tuple[NDArray, NDArray]:
        W, b = self._first.pop(0)
        return np.ascontiguousarray(W.T), b


class Sklearn:
    """A training in scikit-learn."""

    resizable = True

    def __init__(self, work: Workload) -> None:
        sklearn.set_config(assume_finite=True)
        self.about = f"scikit-learn {sklearn.__version__}"
        data = read_mnist(work.data, work.samples)
        self.samples = len(data.train.labels)
        self._test = data.test
        self._dtype = np.dtype(work.dtype)
        self._x, self._y = self._scaled(data.train.pixels), data.train.labels
        self._work = work

    def start(self, seed: int) -> None:
        """Begin a new training."""
        work = self._work
        self._classifier = SameStart(
            work.hidden,
            solver=work.optimizer,
            alpha=0.0,
            batch_size=min(work.batch, self.samples),
            learning_rate_init=work.learning_rate,
            momentum=work.momentum,
            nesterovs_momentum=False,
            random_state=seed,
            n_iter_no_change=1_000_000,
        )
        self._classifier._first = first_weights(work, seed)

    def _scaled(self, pixels: NDArray[np.uint8]) -> NDArray[np.floating]:
        return pixels.astype(self._dtype) * self._dtype.type(SCALE)

    def epoch(self) -> None:
        """Train on the first `samples` images once, in a new order."""
        x, y = self._x[: self.samples], self._y[: self.samples]
        self._classifier.partial_fit(x, y, classes=np.arange(CLASSES))

    def accuracy(self) -> float:
        """Return the accuracy on the test images."""
        return share_right(
            lambda pixels: self._classifier.predict(self._scaled(pixels)), self._test
        )


def contender(work: Workload, threads: int) -> Sklearn:
    """Make the contender."""
    return Sklearn(work)
