"""The compiled kernels against NumPy's, in each operation and in whole trainings."""

from __future__ import annotations

import ctypes
import inspect
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.compute.engine import Engine

pytest.importorskip("numba", reason="needs the extra `fast`")

from helpers.networks import RULES, draw_network, draw_passes, kept_for, make_optimizer
from helpers.selection import few

from mlp_cli.compute.fast.blas import LARGE, MKL
from mlp_cli.compute.fast.kernels import FastKernels
from mlp_cli.compute.fast.recorder import Recorder
from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.config.load import from_dict
from mlp_cli.data.dataset import load_dataset
from mlp_cli.gradcheck.check import TOLERANCE, compare
from mlp_cli.nn.activations import ACTIVATIONS
from mlp_cli.nn.buffers import Array, Norm, RandomBuffer, columns_first
from mlp_cli.nn.losses import LOSSES
from mlp_cli.nn.network import Network, owned_slices
from mlp_cli.nn.ops import NUMPY, Ops
from mlp_cli.training.build import build_trainer
from mlp_cli.training.trainer import Trainer

ROUNDING = {"float32": 2e-6, "float64": 5e-15}
KERNELS = [NumPyKernels, FastKernels]


def run_compiled(program: Callable[[Ops, int], None], dtype: str = "float32") -> None:
    """Run a program of operations as compiled code, on one thread."""
    FastKernels().prepare(program, ThreadTeam(1), np.dtype(dtype))()


def test_every_operation_can_be_recorded() -> None:
    names = {
        name for name, _ in inspect.getmembers(Ops, inspect.isfunction) if not name.startswith("_")
    }
    assert not [name for name in names if getattr(Recorder, name) is getattr(Ops, name)]
    assert "product" in names


@pytest.mark.parametrize("seed", few(range(0, 224, 2), 4))
def test_the_compiled_gradient_agrees_with_loop_tiling_and_differences(seed: int) -> None:
    network, x, y, generator = draw_network(seed)
    workers = 1 + seed // 2 % 3
    passes = draw_passes(network, len(x), seed, workers)
    engine = Engine(ThreadTeam(workers), FastKernels())
    check = compare(network, passes, x, y, generator, engine, is_plain_sgd=seed // 2 % 2 == 1)
    for layer in (*check.layers, *check.decoder):
        for method, error in layer.errors.items():
            assert error <= TOLERANCE[method], (method, layer, network.sizes)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_compiled_activations_agree_at_extreme_numbers(name: str, dtype: str) -> None:
    f, generator = ACTIVATIONS[name], np.random.default_rng(0)
    edges = [0.0, -0.0, 1e-30, -1e-30, 80, -80, 700, -700, 1e30, -1e30, np.inf, -np.inf, np.nan]
    values = np.concatenate([edges, generator.normal(size=37) * 4])
    z, delta = (columns_first(10, 5, np.dtype(dtype)) for _ in range(2))
    z[...] = values.reshape(10, 5)
    delta[...] = generator.normal(size=(10, 5))
    b, s = np.zeros(5, dtype), np.empty_like(z)
    a, expected = z.copy(order="F"), delta.copy(order="F")
    with np.errstate(all="ignore"):
        kept = kept_for(f, a)
        f.apply(a, kept, s)
        f.backward(expected, kept, s)
    compiled_kept = kept_for(f, z)

    def program(ops: Ops, worker: int) -> None:
        ops.activate(f, z, b, compiled_kept, s)
        ops.multiply_by_derivative(f, delta, compiled_kept, s)

    run_compiled(program, dtype)
    with np.errstate(all="ignore"):  # the error of eᶻ − 1 near 0 is that of rounding 1
        np.testing.assert_allclose(z, a, rtol=ROUNDING[dtype], atol=ROUNDING[dtype])
        np.testing.assert_allclose(delta, expected, rtol=ROUNDING[dtype], atol=ROUNDING[dtype] * 4)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_compiled_masks_and_noise_agree(dtype: str) -> None:
    for first, lines, width, p in [(0, 5, 8, 0.5), (3, 7, 13, 0.2), (100, 1, 1, 0.9)]:
        key = np.array([2**64 - 5], np.uint64)
        masks = [RandomBuffer.over(np.empty((lines, width), dtype), first) for _ in range(2)]
        NUMPY.dropout_mask(masks[0], key, 2, p)
        run_compiled(
            lambda ops, worker, m=masks[1], k=key, p=p: ops.dropout_mask(m, k, 2, p), dtype
        )
        np.testing.assert_allclose(masks[0].r, masks[1].r, rtol=ROUNDING[dtype])
        z = [np.ones((lines, width), dtype) for _ in range(2)]
        NUMPY.add_noise(z[0], masks[0], key, 2, p)
        run_compiled(
            lambda ops, worker, z=z[1], m=masks[1], k=key, p=p: ops.add_noise(z, m, k, 2, p), dtype
        )
        np.testing.assert_allclose(masks[0].r, masks[1].r, rtol=ROUNDING[dtype])
        np.testing.assert_allclose(z[0], z[1], rtol=ROUNDING[dtype], atol=ROUNDING[dtype])
        np.testing.assert_allclose(z[0], 1 + masks[0].r, rtol=ROUNDING[dtype])


@pytest.mark.parametrize("K", [4, 8, 13, 32])
def test_normalisation_does_not_depend_on_where_its_arrays_are_in_memory(K: int) -> None:
    m, found = 5, set()
    for gap in range(20):
        for swapped in (False, True):
            generator, memory = np.random.default_rng(0), np.zeros(1024, np.float32)
            pieces = memory[: m * K], memory[m * K + gap :][: m * K]
            z, hat = (piece.reshape(m, K).T for piece in pieces[:: -1 if swapped else 1])
            z[...] = generator.normal(size=(K, m))
            vectors = [np.ones(m, np.float32) for _ in range(8)]
            gamma, mean, variance, inverse, s, t, dgamma, dbeta = vectors
            scratch = np.empty((K, m), np.float32)
            norm = Norm(gamma, mean, variance, hat, inverse, s, t, scratch, dgamma)
            run_compiled(lambda ops, worker, z=z, norm=norm: ops.normalise(z, norm))
            z[...] = generator.normal(size=(K, m))  # now it is an error to propagate back
            run_compiled(lambda ops, worker, a=(z, norm, dbeta): ops.normalise_backward(*a))
            found.add(b"".join(array.tobytes() for array in (z, hat, *vectors)))
    assert len(found) == 1


@pytest.mark.parametrize("dtype", ROUNDING)
def test_compiled_limits_of_norms_agree(dtype: str) -> None:
    generator = np.random.default_rng(0)
    W = (generator.normal(size=(40, 30)) * generator.uniform(0, 1, (40, 1))).astype(dtype)
    expected = W.copy()
    NUMPY.limit_norms(expected, 2.0, np.empty(40, dtype))
    run_compiled(lambda ops, worker: ops.limit_norms(W, 2.0, np.empty(40, dtype)), dtype)
    np.testing.assert_allclose(W, expected, rtol=4 * ROUNDING[dtype])
    assert (np.linalg.norm(W, axis=1) > 1.99).any() and (np.linalg.norm(W, axis=1) < 1).any()


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("name", LOSSES)
def test_compiled_output_errors_agree_at_extreme_logits(name: str, dtype: str) -> None:
    generator = np.random.default_rng(0)
    chunk = columns_first(30, 4, np.dtype(dtype))
    chunk[...] = generator.normal(size=(30, 4)) * 10.0 ** generator.integers(-3, 5, (30, 1))
    z = chunk[5:16]  # a minibatch of a chunk: its columns are not adjacent in memory
    y = np.eye(4, dtype=dtype)[generator.integers(4, size=11)]
    expected, found, s = (columns_first(11, 4, np.dtype(dtype)) for _ in range(3))
    LOSSES[name].delta(z, y, expected, s)
    run_compiled(lambda ops, worker: ops.output_delta(LOSSES[name], z, y, found, s), dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=ROUNDING[dtype])


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("name", LOSSES)
def test_compiled_counts_of_losses_and_right_answers_agree(name: str, dtype: str) -> None:
    generator = np.random.default_rng(0)
    chunk = columns_first(30, 4, np.dtype(dtype))
    chunk[...] = generator.normal(size=(30, 4)) * 10.0 ** generator.integers(-3, 4, (30, 1))
    chunk[7] = 0.25  # a tie: the first counts
    labels = generator.integers(4, size=20).astype(np.uint8)
    y, z = np.eye(4, dtype=dtype)[labels], chunk[5:25]
    found = []
    for run in (lambda program: program(Ops(), 0), lambda program: run_compiled(program, dtype)):
        losses, s, right = np.empty(20, dtype), np.empty(20, dtype), np.empty(20, np.bool_)
        run(
            lambda ops, worker, o=(losses, right, s): ops.count_correct(
                LOSSES[name], z, y, labels, *o
            )
        )
        found.append((losses, right))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4, atol=4 * ROUNDING[dtype])
    np.testing.assert_array_equal(found[1][1], found[0][1])


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("clip_norm", [None, 3.0])
@pytest.mark.parametrize(("name", "options"), RULES)
def test_compiled_update_rules_agree(
    name: str, options: dict[str, float], clip_norm: float | None, dtype: str
) -> None:
    found = []
    for kernels in (NumPyKernels(), FastKernels()):
        network = Network([20, 9, 5], "relu", "cross_entropy", dtype)
        network.initialise("he_normal", np.random.default_rng(0))
        workers = 1 if kernels.name == "numpy" else 2
        gradient, team = np.empty_like(network.parameters), ThreadTeam(workers)
        optimizer = make_optimizer(
            name,
            network.parameters,
            gradient,
            network.weight_count,
            clip_norm=clip_norm,
            shares=[owned_slices(network, worker, workers) for worker in range(workers)],
            **options,
        )
        factors, generator = np.zeros(3), np.random.default_rng(1)
        step = kernels.prepare(
            lambda ops, worker, o=optimizer, factors=factors: o.step(factors, worker, ops),
            team,
            network.dtype,
        )
        for t in range(1, 6):
            gradient[...] = generator.normal(size=gradient.shape)
            factors[...] = optimizer.rule.factors([0.05], t)[0]
            step()
        found.append((network.parameters, *optimizer.slots.values()))
    for expected, values in zip(*found, strict=True):
        np.testing.assert_allclose(
            values, expected, rtol=20 * ROUNDING[dtype], atol=4 * ROUNDING[dtype]
        )


def test_products_agree_in_every_layout_that_a_network_has() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        m, k, n = (int(size) for size in generator.integers(1, 40, 3))
        left, right = generator.normal(size=(m, k)), generator.normal(size=(k, n))
        whole = generator.normal(size=(m, n + 3))
        out = whole[:, 1 : n + 1]
        if generator.random() < 0.3:
            left = np.asfortranarray(left)
        elif generator.random() < 0.8:
            right = np.asfortranarray(right)
            if generator.random() < 0.7:
                out = columns_first(m, n, np.dtype("float64"))
        run_compiled(lambda ops, worker, o=(left, right, out): ops.product(*o), "float64")
        np.testing.assert_allclose(out, left @ right, rtol=1e-12, atol=1e-12)


LAYOUTS = ["plain", "left transposed", "right transposed"]


def large_factors(layout: str, dtype: str) -> tuple[Array, Array]:
    """Return the factors of a product that is just above what counts as large."""
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(10, 1300)), generator.normal(size=(1300, 80))
    assert 9 * 1300 * 80 < LARGE < left.size * 80
    left, right = left.astype(dtype), right.astype(dtype)
    if layout == "left transposed":
        left = np.asfortranarray(left)
    elif layout == "right transposed":
        right = np.asfortranarray(right)
    return left, right


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_compiled_large_products_agree(layout: str, dtype: str) -> None:
    left, right = large_factors(layout, dtype)
    out = np.empty((len(left), right.shape[1]), dtype)
    run_compiled(lambda ops, worker: ops.product(left, right, out), dtype)
    tolerance = 100 * ROUNDING[dtype]
    np.testing.assert_allclose(out, left @ right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_large_product_does_not_depend_on_where_its_operands_are_in_memory(layout: str) -> None:
    found = set()
    for off in range(0, 64, 4):
        arrays = []
        for array in (*large_factors(layout, "float32"), np.zeros((10, 80), np.float32)):
            memory = np.zeros(array.nbytes + 128, np.uint8)
            start = -memory.ctypes.data % 64 + off
            moved = memory[start : start + array.nbytes].view(np.float32)
            order: Any = "C" if array.flags.c_contiguous else "F"
            arrays.append(moved.reshape(array.shape, order=order))
            arrays[-1][:] = array
        run_compiled(lambda ops, worker, o=arrays: ops.product(*o))
        found.add(arrays[-1].tobytes())
    assert len(found) == 1


@pytest.mark.skipif(MKL is None, reason="needs MKL, from the extra `mkl`, and an Intel processor")
@pytest.mark.parametrize("rows", [9, 10], ids=["small", "large"])
def test_large_products_are_computed_by_mkl_and_small_ones_by_the_blas_of_numpy(rows: int) -> None:
    left, right = large_factors("plain", "float64")
    left = left[:rows]
    compiled, mkls = (np.empty((rows, 80)) for _ in range(2))
    run_compiled(lambda ops, worker: ops.product(left, right, compiled), "float64")
    size, real, address = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p
    MKL.library.cblas_dgemm_64(  # type: ignore[union-attr]
        101, 111, 111, size(rows), size(80), size(1300), real(1), address(left.ctypes.data),
        size(1300), address(right.ctypes.data), size(80), real(0), address(mkls.ctypes.data),
        size(80),
    )  # fmt: skip
    numpys = left @ right
    assert numpys.tobytes() != mkls.tobytes()
    assert compiled.tobytes() == (mkls if rows == 10 else numpys).tobytes()


@pytest.mark.parametrize(
    "before",
    [
        "from mlp_cli.compute import machine; machine.processor = lambda: 'AMD EPYC'",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))",
        "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
    ],
    ids=["another processor", "limited memory", "no working directory"],
)
def test_mkl_is_not_loaded_if_it_could_fail(before: str, tmp_path: Path) -> None:
    code = f"{before}\nfrom mlp_cli.compute.fast import FastKernels\nprint(FastKernels.name)"
    done = subprocess.run(
        # With the working directory in the path, NumPy itself fails in a deleted one.
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"numba {metadata.version('numba')}\n"


def trainer(kernels: Kernels, threads: int, dtype: str = "float32", **sections: object) -> Trainer:
    settings = {
        "data": {"dataset": "synthetic", "validation": 200, "scaling": "standard"},
        "model": {"hidden": [33, 17], "activation": "tanh"},
        "optimizer": {"name": "adam", "learning_rate": 0.002, "weight_decay": 1e-4},
        "schedule": {"name": "cosine"},
        "training": {"epochs": 1, "batch_size": 32, "dtype": dtype},
        **sections,
    }
    config = from_dict(settings, "the test")
    dataset = load_dataset(config, None)  # type: ignore[arg-type]
    few = replace(dataset.train, rows=dataset.train.rows[:2900])
    engine = Engine(ThreadTeam(threads), kernels)
    return build_trainer(config, replace(dataset, train=few), engine)


PLAIN_SGD = {
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.001},
    "regularisation": {"max_norm": 1.0},
}
EVERYTHING = {
    "model": {"hidden": [33, 17], "batch_norm": True},
    "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True},
    "regularisation": {
        "input_dropout": 0.1, "dropout": 0.2, "max_norm": 1.0, "label_smoothing": 0.05,
        "average": 0.2, "input_noise": 0.2, "noise": 0.1,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "sections", [{}, PLAIN_SGD, EVERYTHING], ids=["plain", "plain SGD", "everything"]
)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_compiled_training_agrees_within_rounding(
    threads: int, sections: dict[str, object]
) -> None:
    found = []
    for kernels in KERNELS:
        training = trainer(kernels(), threads, "float64", **sections)
        metrics = training.train_epoch(lambda loss: False)
        assert metrics is not None
        found.append((training.network.parameters, metrics))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-8, atol=1e-10)
    assert found[0][1].train_loss == pytest.approx(found[1][1].train_loss, rel=1e-10)
    assert found[0][1].val_accuracy == found[1][1].val_accuracy


@pytest.mark.parametrize(
    ("rule", "writes_gradients"),
    [
        ({"name": "sgd"}, False),
        ({"name": "sgd", "weight_decay": 0.01}, False),
        ({"name": "sgd", "clip_norm": 1.0}, True),
        ({"name": "sgd", "momentum": 0.9}, True),
        ({"name": "adam"}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("threads", [1, 2])
def test_only_plain_sgd_writes_no_gradient(
    rule: dict[str, object], writes_gradients: bool, threads: int
) -> None:
    training = trainer(FastKernels(), threads, optimizer={"learning_rate": 0.01, **rule})
    gradient = training.steps._passes[32].gradient
    gradient[:] = 0.0
    training.train_epoch(lambda loss: False)
    written = [bool(dW.any()) for dW in training.network.views(gradient).weights]
    # The first layer skips zeros, and updates its weights from its sums unless they are clipped.
    assert written == ["clip_norm" in rule, writes_gradients, writes_gradients]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("hidden", [[], [5], [33, 17]])
def test_a_repeated_compiled_training_has_the_same_bits(threads: int, hidden: list[int]) -> None:
    found = []
    for _ in range(3):
        training = trainer(FastKernels(), threads, model={"hidden": hidden})
        training.train_epoch(lambda loss: False)
        found.append(training.network.parameters.tobytes())
    assert len({*found}) == 1


@pytest.mark.serial
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("sections", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_step_allocates_no_array(kernels: type[Kernels], sections: dict[str, object]) -> None:
    options = {
        **sections,
        "optimizer": {"name": "adam", "learning_rate": 0.001, "clip_norm": 1.0},
        "training": {"epochs": 1, "batch_size": 2900},
    }
    training = trainer(kernels(), 1, **options)
    training.train_epoch(lambda loss: False)
    steps = partial(training.steps._train, training.chunk, False)
    run = training.engine.prepare(steps, training.network.dtype)
    run()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The smallest array of a step, δ of the last layer, takes 116 kB. What is allocated are views
    # and the iterators by which NumPy adds a vector to each row of a matrix: 2 · 8,192 numbers, or
    # 3 · 8,192 in older releases.
    assert peak - before < 110_000


@pytest.mark.parametrize("source", ["compute/fast/updates.py", "nn/ops.py"])
def test_a_change_of_a_source_changes_the_version_of_compiled_code(
    source: str, tmp_path: Path
) -> None:
    package = Path(inspect.getfile(FastKernels)).parents[2]
    shutil.copytree(package, tmp_path / "mlp_cli", ignore=shutil.ignore_patterns("__pycache__"))
    code = "from mlp_cli.compute.fast import version as v; print(v.code_version(), v.__file__)"
    versions = []
    for change in ("", "# changed\n"):
        with (tmp_path / "mlp_cli" / source).open("a") as file:
            file.write(change)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        version, file_name = done.stdout.split()
        assert file_name.startswith(str(tmp_path))
        versions.append(version)
    assert versions[0] != versions[1]
