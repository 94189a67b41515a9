"""PyTorch, compiled: gather, scaling, forward pass, gradient and update as one C++ graph.

`torch.compile` cannot trace `loss.backward()`, but it can trace `torch.func.grad`. So the whole
step is one compiled function without a graph break. It is called through the C++ wrapper and, after
the first epoch, without guards. On small networks this is three to five times as fast as a compiled
module with a separate optimizer, and on large networks it is no slower.
"""

from __future__ import annotations

import os

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of idle compilers

import torch
from lib.workload import Workload
from rivals.mnist import SCALE, Mnist, first_weights, read_mnist, share_right
from torch import Tensor
from torch.nn.functional import cross_entropy, linear, relu


class TorchCompiled:
    """A training in PyTorch, written so that it compiles to fast code."""

    def __init__(self, work: Workload, data: Mnist) -> None:
        self.about = f"torch {torch.__version__}, compiled by inductor"
        self._work = work
        self._dtype = getattr(torch, work.dtype)
        self._test = data.test
        self._pixels = torch.from_numpy(data.train.pixels)
        self._labels = torch.from_numpy(data.train.labels).long()
        self.samples = len(self._labels)
        self._parameters = [
            torch.from_numpy(part) for layer in first_weights(work, 0) for part in layer
        ]
        count = 2 if work.optimizer == "adam" else 1 if work.momentum else 0
        self._slots = [[torch.zeros_like(p) for p in self._parameters] for _ in range(count)]
        # One dimension, because inductor 2.13 loses additions to a float64 tensor without any.
        self._steps = torch.zeros(1, dtype=self._dtype)
        self._compiled = torch.compile(
            self._step, fullgraph=True, dynamic=False, options={"cpp_wrapper": True}
        )
        self._epochs = 0

    def start(self, seed: int) -> None:
        """Begin a new training in the same tensors, which the compiled step refers to."""
        torch.manual_seed(seed)
        first = [part for layer in first_weights(self._work, seed) for part in layer]
        for p, value in zip(self._parameters, first, strict=True):
            p.copy_(torch.from_numpy(value))
        for slot in (self._steps, *(slot for slots in self._slots for slot in slots)):
            slot.zero_()

    @torch.no_grad()
    def epoch(self) -> None:
        """Train on every image once, in a new order; the first call compiles."""
        for rows in torch.randperm(self.samples).split(self._work.batch):
            self._compiled(self._parameters, self._slots, self._steps, rows)
        self._epochs += 1
        if self._epochs == 1:  # all shapes have occurred, so the guards are not needed
            torch.compiler.set_stance(skip_guard_eval_unsafe=True)

    def _step(
        self, parameters: list[Tensor], slots: list[list[Tensor]], steps: Tensor, rows: Tensor
    ) -> None:
        work, dtype = self._work, self._dtype
        x = self._pixels[rows].to(dtype) * SCALE
        gradient = torch.func.grad(_loss)(parameters, x, self._labels[rows])
        if work.optimizer == "adam":
            steps.add_(1)
            shrunk, shrunk_square = 1 - 0.9**steps, 1 - 0.999**steps
            for p, g, m, v in zip(parameters, gradient, *slots, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                p.sub_(work.learning_rate * (m / shrunk) / ((v / shrunk_square).sqrt() + 1e-8))
        elif work.momentum:
            for p, g, v in zip(parameters, gradient, *slots, strict=True):
                v.mul_(work.momentum).add_(g)
                p.sub_(work.learning_rate * v)
        else:
            for p, g in zip(parameters, gradient, strict=True):
                p.sub_(work.learning_rate * g)

    @torch.no_grad()
    def accuracy(self) -> float:
        """Return the accuracy on the test images."""
        return share_right(
            lambda pixels: _logits(
                self._parameters, torch.from_numpy(pixels).to(self._dtype) * SCALE
            ).argmax(1),
            self._test,
        )


def _loss(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(_logits(parameters, x), y)


def _logits(parameters: list[Tensor], a: Tensor) -> Tensor:
    *hidden, W, b = parameters
    for W_hidden, b_hidden in zip(hidden[::2], hidden[1::2], strict=True):
        a = relu(linear(a, W_hidden, b_hidden))
    return linear(a, W, b)


def contender(work: Workload, threads: int) -> TorchCompiled:
    """Make the contender."""
    torch.set_num_threads(threads)
    return TorchCompiled(work, read_mnist(work.data, work.samples))
