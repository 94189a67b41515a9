"""When hidden layers skip the zeros of ReLU, and that they compute the same then."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`")

from helpers.drawn_trainer import trainer
from helpers.program_lines import SINGLE, run_line

from mlp_cli.compute.fast.image_opcodes import ErrorsLit, Fold
from mlp_cli.compute.fast.kernels import FastKernels
from mlp_cli.compute.fast.tiling import HIDDEN, LANES, WORD, aligned_zeros, panels_of
from mlp_cli.compute.kernels import NumPyKernels
from mlp_cli.errors import DivergedError
from mlp_cli.training.trainer import Trainer

M = max(3 * HIDDEN, 2 * WORD) + 5  # neurons, of which three workers each have enough
RELU = {"activation": "relu"}
WIDE = {**RELU, "hidden": [M, M]}


def bits_of(mask: np.ndarray) -> np.ndarray:
    """Return what is true in (K, n) as words of 64 bits, (K, ⌈n / 64⌉)."""
    K, n = mask.shape
    words = np.zeros((K, -(-n // WORD)), np.uint64)
    for j in range(n):
        words[:, j // WORD] |= mask[:, j].astype(np.uint64) << np.uint64(j % WORD)
    return words


@pytest.mark.parametrize(
    ("K", "n", "m", "start", "stop"),
    [
        (5, 64, 8 * LANES, 0, 64),
        (33, 130, 5 * LANES, 0, 130),
        (8, 200, 3, 60, 70),
        (7, 200, 4 * LANES, 64, 128),
        (9, 300, 20 * LANES + 1, 63, 193),
        (1, 129, 2 * LANES, 128, 129),
    ],
)
def test_the_errors_of_lit_neurons_agree_with_the_plain_product(
    K: int, n: int, m: int, start: int, stop: int
) -> None:
    draw = np.random.default_rng(0)
    is_lit = draw.random((K, n)) < 0.4
    W, delta = (draw.normal(size=shape).astype(SINGLE) for shape in ((m, n), (m, K)))
    out = np.full((K, stop - start), np.nan, SINGLE)
    masks = bits_of(is_lit)
    for first, neurons, width in panels_of(m):
        panel, room = aligned_zeros(n, width), aligned_zeros(K, width)
        room[:] = np.nan  # what another line may have left there
        run_line(Fold(np.ascontiguousarray(W[first : first + neurons]), n, neurons, width, panel))
        own = np.ascontiguousarray(delta[first : first + neurons])
        sizes = masks, K, n, start, stop, own, neurons, width, panel
        run_line(ErrorsLit(*sizes, out, first == 0, room))
    expected = np.where(is_lit, delta.T.astype(np.float64) @ W, 0)[:, start:stop]
    np.testing.assert_allclose(out, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("sections", "skips"),
    [
        ({"model": WIDE}, True),
        ({"model": {**WIDE, "batch_norm": True}}, True),
        ({"model": WIDE, "regularisation": {"dropout": 0.5}}, True),
        ({"model": WIDE, "regularisation": {"input_noise": 0.1}}, True),
        ({"model": {**WIDE, "activation": "leaky_relu"}}, False),
        ({"model": {**RELU, "hidden": [M, HIDDEN - 1]}}, False),
        ({"model": {**RELU, "hidden": [2 * WORD - 1, M]}}, False),
        ({"model": WIDE, "training": {"epochs": 1, "batch_size": 4}}, False),
        ({"model": WIDE, "training": {"epochs": 1, "dtype": "float64"}}, False),
        ({"model": WIDE, "optimizer": {"name": "sgd", "clip_norm": 0.1}}, False),
    ],
    ids=["plain", "batch norm", "dropout", "noise", "leaky ReLU", "few neurons", "few inputs",
         "few examples", "float64", "clipped"],
)  # fmt: skip
def test_zeros_of_relu_are_skipped_by_a_fixed_rule(
    sections: dict[str, object], skips: bool
) -> None:
    kernels = FastKernels()
    trainer(kernels, **sections)
    assert kernels.skips_hidden_zeros == skips


def test_the_record_of_a_run_tells_the_layers_apart() -> None:
    kernels = FastKernels()
    trainer(kernels, model=WIDE, regularisation={"input_noise": 0.1})
    assert (kernels.skips_zeros, kernels.skips_hidden_zeros) == (False, True)


def trained(kernels: NumPyKernels | FastKernels, threads: int, **sections: object) -> Trainer:
    training = trainer(kernels, threads, **sections)
    training.train_epoch(lambda loss: False)
    return training


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    "sections",
    [
        {"optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.01}},
        {"optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True}},
        {"optimizer": {"name": "rmsprop", "learning_rate": 0.0001}},
        {"optimizer": {"name": "adamw", "learning_rate": 0.00003, "weight_decay": 0.1}},
        {"model": {**WIDE, "batch_norm": True}},
        {"model": {**WIDE, "hidden": [M, M, M]}, "regularisation": {"dropout": 0.5}},
        {"model": WIDE, "regularisation": {"max_norm": 0.5, "dropout": 0.2, "noise": 0.1}},
        {"model": {**WIDE, "batch_norm": True, "decoder": 10}, "regularisation": {"noise": 0.3}},
        {"training": {"epochs": 1, "batch_size": 300}},  # 1,000 = 3 · 300 + 100
        {"training": {"epochs": 1, "batch_size": 27}},  # 1,000 = 999 + 1, in a chunk of its own
        {"classes": M, "optimizer": {"name": "sgd", "learning_rate": 0.01}},
    ],
    ids=["SGD", "momentum", "RMSProp", "AdamW", "batch norm", "dropout", "max-norm", "decoder",
         "a short minibatch", "a minibatch of one", "many classes"],
)  # fmt: skip
def test_networks_of_relu_agree_with_numpy(sections: dict[str, object], threads: int) -> None:
    """The rates are small: near 0, a difference of rounding decides whether a neuron is lit."""
    settings = {"model": WIDE, **sections}
    kernels = FastKernels()
    expected = trained(NumPyKernels(), 1, **settings).network.parameters
    found = trained(kernels, threads, **settings).network.parameters
    assert kernels.skips_hidden_zeros
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_chunk_with_a_minibatch_of_one_agrees_with_numpy() -> None:
    settings = {"model": WIDE, "training": {"epochs": 1, "batch_size": 111}}  # 9 · 111 + 1
    expected = trained(NumPyKernels(), 1, **settings).network.parameters
    found = trained(FastKernels(), 2, **settings).network.parameters
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_repeated_training_has_the_same_bits(threads: int) -> None:
    found = [
        trained(FastKernels(), threads, model=WIDE).network.parameters.tobytes() for _ in range(3)
    ]
    assert len({*found}) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_ends_the_training_at_the_same_place(bad: float) -> None:
    told = []
    for kernels in (NumPyKernels(), FastKernels()):
        training = trainer(kernels, model=WIDE)
        training.network.biases[0][7] = -1000  # this neuron is never lit
        training.network.weights[1][3, 7] = bad
        with np.errstate(invalid="ignore"), pytest.raises(DivergedError) as caught:
            training.train_epoch(lambda loss: False)
        told.append(str(caught.value))
    assert kernels.skips_hidden_zeros
    assert told[0] == told[1]
