"""The layers of a network, as one worker computes them over K examples.

Several threads, the workers, may share a step. The arrays of a layer then lie whole in memory, and
each worker owns some of the neurons: those rows of W and ΔW, those elements of b and Δb, and those
columns of z, a and δ. A `HiddenLayer` holds the views of one worker, and the whole arrays that it
reads. The output layer is so small that every worker computes all of its z and δ for itself, in
buffers of its own; only the rows of ΔW and Δb are shared out.

Below, m stands for the neurons that the worker owns, and M for all neurons of the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mlp_cli.nn.buffers import Array, Norm, RandomBuffer, columns_first
from mlp_cli.nn.network import Network, Views, rows_of


class HiddenBuffers(NamedTuple):
    """The arrays of a hidden layer that its workers share, each (K, M).

    `kept` is what the backward pass computes f′(z) from: a, or f′(z) itself if the activation keeps
    it. `output` is what the layer above sees: a, or a ⊙ r with dropout. `mask` r, `noise` and `hat`
    ẑ are None if the layer has no dropout, no noise or no batch normalisation.
    """

    a: Array
    kept: Array
    output: Array
    delta: Array
    mask: Array | None
    noise: Array | None
    hat: Array | None

    @classmethod
    def of(
        cls,
        K: int,
        M: int,
        dtype: np.dtype[Any],
        *,
        keeps_derivative: bool,
        dropout: bool,
        noise: bool,
        batch_norm: bool,
    ) -> HiddenBuffers:
        """Return the arrays of a layer of M neurons over K examples."""

        def array() -> Array:
            return columns_first(K, M, dtype)

        a = array()
        return cls(
            a=a,
            kept=array() if keeps_derivative else a,
            output=array() if dropout else a,
            delta=array(),
            mask=array() if dropout else None,
            noise=array() if noise else None,
            hat=array() if batch_norm else None,
        )


@dataclass(frozen=True, slots=True)
class HiddenLayer:
    """What one worker reads and writes of a hidden layer.

    Attributes
    ----------
    number
        Of the layer, from 1.
    W, b
        (m, n) and (m,).
    a, kept, delta
        (K, m). `a` holds z until the activation is applied in place. `kept` is `a` itself, or f′(z)
        if the activation keeps its derivative.
    dW, db
        (m, n) and (m,): views of the gradient.
    scratch
        (K, m).
    output, whole_delta
        (K, M) of all workers: what the layer above sees, and δ.
    W_above
        (neurons above, m): the columns of the W above that belong to the m neurons.
    below
        The hidden layer below, or None if the inputs are.
    mask, dropped
        The dropout mask r, and the columns (K, m) of `output` for a ⊙ r.
    noise, norm
        What is added to z, and batch normalisation.
    """

    number: int
    W: Array
    b: Array
    a: Array
    kept: Array
    delta: Array
    dW: Array
    db: Array
    scratch: Array
    output: Array
    whole_delta: Array
    W_above: Array
    below: HiddenLayer | None
    mask: RandomBuffer | None
    dropped: Array
    noise: RandomBuffer | None
    norm: Norm | None


@dataclass(frozen=True, slots=True)
class OutputLayer:
    """What one worker reads and writes of the output layer.

    Attributes
    ----------
    W, b
        (c, n) and (c,): all of them.
    whole_delta, delta
        δ (K, c) as this worker computed it, and the columns (K, m) of it that belong to its rows.
    dW, db
        (m, n) and (m,): its rows of the gradient.
    scratch
        (K, c).
    below
        The last hidden layer, or None if the inputs are below.
    """

    W: Array
    b: Array
    whole_delta: Array
    delta: Array
    dW: Array
    db: Array
    scratch: Array
    below: HiddenLayer | None
    norm: None = None


class WorkerLayers(NamedTuple):
    """All layers of one worker, from the first to the last."""

    hidden: tuple[HiddenLayer, ...]
    output: OutputLayer

    @classmethod
    def of(
        cls,
        network: Network,
        buffers: Sequence[HiddenBuffers],
        gradient: Views,
        K: int,
        worker: int,
        workers: int,
    ) -> WorkerLayers:
        """Cut a worker's share out of the shared arrays."""
        hidden: list[HiddenLayer] = []
        for layer, whole in enumerate(buffers):
            own = rows_of(worker, workers, network.sizes[layer + 1])
            scratch = columns_first(K, own.stop - own.start, network.dtype)
            hidden.append(
                HiddenLayer(
                    number=layer + 1,
                    W=network.weights[layer][own],
                    b=network.biases[layer][own],
                    a=whole.a[:, own],
                    kept=whole.kept[:, own],
                    delta=whole.delta[:, own],
                    dW=gradient.weights[layer][own],
                    db=gradient.biases[layer][own],
                    scratch=scratch,
                    output=whole.output,
                    whole_delta=whole.delta,
                    W_above=network.weights[layer + 1][:, own],
                    below=hidden[-1] if hidden else None,
                    mask=_random(whole.mask, own),
                    dropped=whole.output[:, own],
                    noise=_random(whole.noise, own),
                    norm=_norm(network, gradient, layer, whole.hat, own, scratch),
                )
            )
        c = network.sizes[-1]
        own = rows_of(worker, workers, c)
        delta = columns_first(K, c, network.dtype)
        output = OutputLayer(
            W=network.weights[-1],
            b=network.biases[-1],
            whole_delta=delta,
            delta=delta[:, own],
            dW=gradient.weights[-1][own],
            db=gradient.biases[-1][own],
            scratch=columns_first(K, c, network.dtype),
            below=hidden[-1] if hidden else None,
        )
        return cls(tuple(hidden), output)


def _random(whole: Array | None, own: slice) -> RandomBuffer | None:
    """Return the buffer that fills a worker's columns of a (K, M) array."""
    return None if whole is None else RandomBuffer.over(whole.T[own], own.start)


def _norm(
    network: Network, gradient: Views, layer: int, hat: Array | None, own: slice, scratch: Array
) -> Norm | None:
    if hat is None:
        return None
    gamma = network.gammas[layer][own]
    return Norm(
        gamma=gamma,
        running_mean=network.running_means[layer][own],
        running_variance=network.running_variances[layer][own],
        hat=hat[:, own],
        inverse=np.empty_like(gamma),
        mean=np.empty_like(gamma),
        variance=np.empty_like(gamma),
        s=scratch,
        dgamma=gradient.gammas[layer][own],
    )
