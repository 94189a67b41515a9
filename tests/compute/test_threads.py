"""A team of threads: tasks, barriers and failures, and results equal to those of one thread."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from helpers.networks import draw_network, draw_passes, make_optimizer

from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.network import Network, owned_slices
from mlp_cli.nn.ops import Ops
from mlp_cli.nn.optimizers import OPTIMIZERS


class WaitsForeverError(Exception):
    """A worker waits for another one that will never come to the barrier."""


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    """Let a test fail if a worker waits for ever. No test here takes a second."""

    def late(*_: object) -> None:
        raise WaitsForeverError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 60, 1)  # repeated, because a team catches what is raised
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_every_worker_has_a_thread_of_its_own_and_the_first_is_the_caller() -> None:
    team, seen = ThreadTeam(3), {}

    def task(worker: int) -> None:
        seen[worker] = threading.get_ident()

    for _ in range(2):
        seen.clear()
        team.run(task)
        assert set(seen) == {0, 1, 2}
        assert len(set(seen.values())) == 3
        assert seen[0] == threading.get_ident()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_workers_wait_for_each_other_at_a_barrier(size: int) -> None:
    team, done = ThreadTeam(size), [0] * size

    def task(worker: int) -> None:
        for turn in range(1, 200):
            if turn % 50 == worker:  # each worker is late in turn
                time.sleep(0.001)
            done[worker] = turn
            team.barrier(worker)
            assert min(done) == max(done) == turn
            team.barrier(worker)

    team.run(task)
    assert done == [199] * size


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_is_raised_and_no_worker_waits_for_the_failed_one(failing: int) -> None:
    team = ThreadTeam(3)

    def task(worker: int) -> None:
        team.barrier(worker)
        if worker == failing:
            raise ValueError("a defect")
        team.barrier(worker)

    with pytest.raises(ValueError, match="a defect"):
        team.run(task)


@pytest.mark.parametrize("seed", range(0, 224, 3))
@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers_compute_the_gradient_of_one(seed: int, workers: int) -> None:
    network, x, y, _ = draw_network(seed)
    whole, z = draw_passes(network, len(x), seed), np.empty_like(y)
    key, inputs = np.array([seed], np.uint64), x.copy()
    whole(inputs, y, z, key=key)
    statistics = network.statistics.copy()
    network.statistics[...] = 0
    for variance in network.running_variances:
        variance[...] = 1
    team = ThreadTeam(workers)
    split = draw_passes(network, len(x), seed, workers)
    ops = Ops(team.barrier)
    split.gradient[...] = np.nan
    zs = [np.empty_like(y) for _ in range(workers)]
    team.run(lambda worker: split(x, y, zs[worker], worker, ops, key))
    for found in zs:
        np.testing.assert_allclose(found, z, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(split.gradient, whole.gradient, rtol=1e-9, atol=1e-13)
    np.testing.assert_array_equal(x, inputs)
    np.testing.assert_allclose(network.statistics, statistics, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_several_workers_make_the_updates_of_one(name: str) -> None:
    options = {"weight_decay": 0.1, "clip_norm": 0.5}
    found = []
    for workers in (1, 3):
        network, *_ = draw_network(100)
        team, g = ThreadTeam(workers), np.empty_like(network.parameters)
        shares = [owned_slices(network, worker, workers) for worker in range(workers)]
        optimizer = make_optimizer(
            name, network.parameters, g, network.weight_count, shares=shares, **options
        )
        ops = Ops(team.barrier)
        generator = np.random.default_rng(0)
        for t in range(1, 5):
            g[...] = generator.normal(size=g.shape)
            step = partial(optimizer.step, optimizer.rule.factors([0.05], t)[0], ops=ops)
            team.run(step)
        found.append(network.parameters)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_each_parameter_belongs_to_one_worker() -> None:
    network, *_ = draw_network(7)
    for workers in (1, 2, 5):
        counts = np.zeros(len(network.parameters), int)
        for worker in range(workers):
            for piece in owned_slices(network, worker, workers):
                counts[piece] += 1
        assert (counts == 1).all()
    assert owned_slices(network, 0, 1) == [slice(0, len(network.parameters))]


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("slow", [0, 1])
@pytest.mark.parametrize("hidden", [[], [5], [7, 6], [4, 4, 4]])
def test_a_slow_worker_does_not_change_the_result(
    hidden: list[int], slow: int, clip_norm: float | None
) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(9, 6)), np.eye(4)[generator.integers(4, size=9)]
    found = []
    for workers in (1, 2):
        team = ThreadTeam(workers)
        network = Network([6, *hidden, 4], "tanh", "cross_entropy", "float64")
        network.initialise("glorot_normal", np.random.default_rng(1))

        def late(worker: int, team: ThreadTeam = team) -> None:
            team.barrier(worker)
            if worker == slow:  # a missing barrier would let the other worker get ahead now
                time.sleep(0.002)

        ops, split = Ops(late), Backpropagation(network, 9, workers=workers)
        shares = [owned_slices(network, worker, workers) for worker in range(workers)]
        optimizer = make_optimizer(
            "sgd", network.parameters, split.gradient, network.weight_count, shares=shares,
            clip_norm=clip_norm,
        )  # fmt: skip
        zs = [np.empty((9, 4)) for _ in range(workers)]

        def task(worker: int, split=split, optimizer=optimizer, zs=zs, ops=ops) -> None:
            for t in range(1, 6):
                split(x, y, zs[worker], worker, ops)
                optimizer.step(optimizer.rule.factors([1.0], t)[0], worker, ops)

        team.run(task)
        found.append(network.parameters)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-11, atol=1e-13)


def test_a_closed_team_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    team = ThreadTeam(3)
    team.run(lambda worker: None)
    started = set(threading.enumerate()) - before
    assert len(started) == 2
    team.close()
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()
