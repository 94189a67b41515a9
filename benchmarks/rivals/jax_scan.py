"""JAX: a whole epoch as one jitted `lax.scan` over the minibatches.

There are two forms. The usual one has W as (n, m), draws the order inside the jitted function by
`jax.random.permutation`, and all other random numbers by JAX's default generator. The strong one
has W as (m, n), takes the order from NumPy, and has a faster generator. On small networks it is up
to 1.6 times as fast, because XLA's sort is slow on a CPU.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from lib.workload import DISTORTION, Workload
from rivals.mnist import (
    EPSILON,
    NEW_SHARE,
    SCALE,
    SIDE,
    first_weights,
    read_mnist,
    share_right,
    smoothing,
)


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
        self._logits = jax.jit(partial(_test_logits, work, usual))

    def start(self, seed: int) -> None:
        """Begin a new training."""
        work = self._work
        layers = [(W.T if self._usual else W, b) for W, b in first_weights(work, seed)]
        widths = work.hidden if work.batch_norm else ()
        ones = [jnp.ones(m, work.dtype) for m in widths]
        parameters = jax.tree.map(jnp.array, layers), ones  # W, b and γ
        statistics = [(jnp.zeros(m, work.dtype), jnp.ones(m, work.dtype)) for m in widths]
        steps = jnp.zeros((), work.dtype)
        self._state = (parameters, _slots(work, parameters), statistics, steps)
        self._numbers = np.random.default_rng(seed)

    def epoch(self) -> None:
        """Train on every image once, in a new order, and wait for the result."""
        seed = self._numbers.integers(2**31)
        order = None if self._usual else self._numbers.permutation(self.samples).astype(np.int32)
        key = jax.random.key(seed, impl=None if self._usual else "unsafe_rbg")
        self._state = jax.block_until_ready(self._epoch(self._state, self._train, key, order))

    def accuracy(self) -> float:
        """Return the accuracy on the test images."""
        parameters, _, statistics, _ = self._state
        return share_right(
            lambda pixels: self._logits(parameters, statistics, pixels).argmax(axis=1), self._test
        )


def _slots(work: Workload, parameters: Any) -> Any:
    zeros = partial(jax.tree.map, jnp.zeros_like, parameters)
    return (zeros(), zeros()) if work.optimizer == "adam" else zeros() if work.momentum else None


def _epoch(
    work: Workload, usual: bool, n: int, state: Any, train: Any, key: Any, order: Any
) -> Any:
    """Return the state after an epoch; `order` is drawn if it is None."""
    if order is None:
        order = jax.random.permutation(key, n)
    K = min(work.batch, n)
    whole = n // K * K

    def step(state: Any, rows: Any) -> tuple[Any, None]:
        of_step = jax.random.fold_in(key, state[-1].astype(jnp.int32)) if work.needs else None
        return _step(work, usual, state, train[0][rows], train[1][rows], of_step), None

    state, _ = jax.lax.scan(step, state, order[:whole].reshape(-1, K))
    return step(state, order[whole:])[0] if whole < n else state


def _step(work: Workload, usual: bool, state: Any, pixels: Any, labels: Any, key: Any) -> Any:
    parameters, slots, statistics, steps = state
    steps = steps + 1
    x = pixels.astype(work.dtype) * SCALE
    if work.distorted:
        x = _distort(x, jax.random.fold_in(key, len(work.hidden)))
    loss = jax.grad(partial(_loss, work, usual), has_aux=True)
    gradient, statistics = loss(parameters, statistics, x, labels, key)
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
    return parameters, slots, statistics, steps


def _loss(
    work: Workload, usual: bool, parameters: Any, statistics: Any, x: Any, labels: Any, key: Any
) -> tuple[Any, Any]:
    z, statistics = _logits(work, usual, parameters, statistics, x, key, training=True)
    chosen = jnp.take_along_axis(z, labels[:, None].astype(jnp.int32), axis=1)[:, 0]
    return (jax.nn.logsumexp(z, axis=1) - chosen).mean(), statistics


def _test_logits(work: Workload, usual: bool, parameters: Any, statistics: Any, pixels: Any) -> Any:
    x = pixels.astype(work.dtype) * SCALE
    return _logits(work, usual, parameters, statistics, x, None, training=False)[0]


def _logits(
    work: Workload,
    usual: bool,
    parameters: Any,
    statistics: Any,
    x: Any,
    key: Any,
    training: bool,
) -> tuple[Any, Any]:
    """Return z of the last layer, and the running statistics after the minibatch."""
    (*hidden, (W_last, b_last)), gammas = parameters
    a, running = x, []
    for layer, (W, b) in enumerate(hidden):
        z = a @ (W if usual else W.T)
        if work.batch_norm:
            mean, variance = statistics[layer]
            if training:
                of_batch = z.mean(axis=0), z.var(axis=0)
                unbiased = of_batch[1] * (len(z) / (len(z) - 1))
                running.append(
                    (
                        (1 - NEW_SHARE) * mean + NEW_SHARE * of_batch[0],
                        (1 - NEW_SHARE) * variance + NEW_SHARE * unbiased,
                    )
                )
                mean, variance = of_batch
            z = (z - mean) * (gammas[layer] * jax.lax.rsqrt(variance + EPSILON))
        a = jax.nn.relu(z + b)
        if work.dropout and training:
            kept = jax.random.bernoulli(jax.random.fold_in(key, layer), 1 - work.dropout, a.shape)
            a = jnp.where(kept, a / (1 - work.dropout), 0)
    return a @ (W_last if usual else W_last.T) + b_last, running


def _distort(x: Any, key: Any) -> Any:
    """Return images (K, 784) after an affine map and an elastic field, each drawn anew."""
    K, middle = len(x), (SIDE - 1) / 2
    of_maps, of_fields = jax.random.split(key)
    ranges = [DISTORTION[name] for name in ("scale", "scale", "shift", "shift")]
    ranges = jnp.array([np.deg2rad(DISTORTION["rotation"]), *ranges], x.dtype)
    drawn = jax.random.uniform(of_maps, (K, 5), x.dtype, -1, 1) * ranges
    angle, down, across, along_i, along_j = drawn.T[..., None, None]
    at = jnp.arange(SIDE) - middle
    i, j = at[:, None] * (1 + down), at * (1 + across)
    fields = jax.random.uniform(of_fields, (2, K, SIDE, SIDE), x.dtype, -1, 1)
    G = jnp.asarray(smoothing(), x.dtype)
    fields = DISTORTION["elastic"][0] * (G @ fields @ G.T)
    u = middle + jnp.cos(angle) * i - jnp.sin(angle) * j + along_i + fields[0]
    v = middle + jnp.sin(angle) * i + jnp.cos(angle) * j + along_j + fields[1]
    images = x.reshape(K, SIDE, SIDE)
    of_one = partial(map_coordinates, order=1)  # outside an image all is black
    return jax.vmap(lambda image, u, v: of_one(image, [u, v]))(images, u, v).reshape(x.shape)


def contender(work: Workload, threads: int, usual: bool = False) -> JaxScan:
    """Make the contender; its threads are limited by the cores that the process may use."""
    return JaxScan(work, usual)
