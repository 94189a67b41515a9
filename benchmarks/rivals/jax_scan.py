"""JAX: a whole epoch as one jitted `lax.scan` over the minibatches.

There are two forms. The usual one has W as (n, m), and draws the order inside the jitted function
by `jax.random.permutation`. The strong one has W as (m, n), and takes the order from NumPy. On
small networks it is up to 1.6 times as fast, because XLA's sort is slow on a CPU.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from lib.workload import Workload
from rivals.mnist import SCALE, first_weights, read_mnist, share_right


class JaxScan:
    """A training in JAX; `usual` chooses the form."""

    def __init__(self, work: Workload, usual: bool) -> None:
        jax.config.update("jax_enable_x64", work.dtype == "float64")
        self.about = f"jax {jax.__version__}"
        data = read_mnist(work.data, work.samples)
        self.samples = len(data.train.labels)
        self._test = data.test
        self._train = (jnp.asarray(data.train.pixels), jnp.asarray(data.train.labels))
        self._work, self._usual = work, usual
        self._epoch = jax.jit(partial(_epoch, work, usual, self.samples), donate_argnums=0)
        self._logits = jax.jit(partial(_logits, work, usual))

    def start(self, seed: int) -> None:
        """Begin a new training."""
        layers = [(W.T if self._usual else W, b) for W, b in first_weights(self._work, seed)]
        parameters = jax.tree.map(jnp.array, layers)
        steps = jnp.zeros((), self._work.dtype)
        self._state = (parameters, _slots(self._work, parameters), steps)
        self._numbers = np.random.default_rng(seed)

    def epoch(self) -> None:
        """Train on every image once, in a new order, and wait for the result."""
        if self._usual:
            given = jax.random.key(self._numbers.integers(2**31))
        else:
            given = self._numbers.permutation(self.samples).astype(np.int32)
        self._state = jax.block_until_ready(self._epoch(self._state, self._train, given))

    def accuracy(self) -> float:
        """Return the accuracy on the test images."""
        return share_right(
            lambda pixels: self._logits(self._state[0], pixels).argmax(axis=1), self._test
        )


def _slots(work: Workload, parameters: Any) -> Any:
    zeros = partial(jax.tree.map, jnp.zeros_like, parameters)
    return (zeros(), zeros()) if work.optimizer == "adam" else zeros() if work.momentum else None


def _epoch(work: Workload, usual: bool, n: int, state: Any, train: Any, given: Any) -> Any:
    """Return the state after an epoch; `given` is a key in the usual form, else the order."""
    order = jax.random.permutation(given, n) if usual else given
    K = min(work.batch, n)
    whole = n // K * K

    def step(state: Any, rows: Any) -> tuple[Any, None]:
        return _step(work, usual, state, train[0][rows], train[1][rows]), None

    state, _ = jax.lax.scan(step, state, order[:whole].reshape(-1, K))
    return step(state, order[whole:])[0] if whole < n else state


def _step(work: Workload, usual: bool, state: Any, pixels: Any, labels: Any) -> Any:
    parameters, slots, steps = state
    steps = steps + 1
    gradient = jax.grad(partial(_loss, work, usual))(parameters, pixels, labels)
    if work.optimizer == "adam":
        mean, square = slots
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradient)
        slots = mean, square
        shrunk, shrunk_square = 1 - 0.9**steps, 1 - 0.999**steps
        direction = jax.tree.map(
            lambda m, v: (m / shrunk) / (jnp.sqrt(v / shrunk_square) + 1e-8), mean, square
        )
    elif work.momentum:
        slots = direction = jax.tree.map(lambda v, g: work.momentum * v + g, slots, gradient)
    else:
        direction = gradient
    parameters = jax.tree.map(lambda p, d: p - work.learning_rate * d, parameters, direction)
    return parameters, slots, steps


def _loss(work: Workload, usual: bool, parameters: Any, pixels: Any, labels: Any) -> Any:
    z = _logits(work, usual, parameters, pixels)
    chosen = jnp.take_along_axis(z, labels[:, None].astype(jnp.int32), axis=1)[:, 0]
    return (jax.nn.logsumexp(z, axis=1) - chosen).mean()


def _logits(work: Workload, usual: bool, parameters: Any, pixels: Any) -> Any:
    a = pixels.astype(work.dtype) * SCALE
    for layer, (W, b) in enumerate(parameters):
        z = a @ (W if usual else W.T) + b
        a = jax.nn.relu(z) if layer < len(parameters) - 1 else z
    return a


def contender(work: Workload, threads: int, usual: bool = False) -> JaxScan:
    """Make the contender; its threads are limited by the cores that the process may use."""
    return JaxScan(work, usual)
