"""A team of threads: parts of one whole, and a failure that nobody waits for."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from helpers.networks import draw_network, draw_passes

from mlp_cli.compute.threads import ThreadTeam
from mlp_cli.nn.backprop import Backpropagation
from mlp_cli.nn.network import Network, owned
from mlp_cli.nn.ops import Operations
from mlp_cli.nn.optimizers import OPTIMIZERS

pytestmark = pytest.mark.serial


class WaitsForeverError(Exception):
    """A member waits for one that will not come."""


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    """Let a test fail, not hang, where a member waits for ever: no test here takes a second."""

    def late(*_: object) -> None:
        raise WaitsForeverError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 60, 1)  # again and again: a team catches what is raised
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_every_member_works_in_a_thread_of_its_own_and_the_caller_is_one() -> None:
    team, seen = ThreadTeam(3), {}

    def work(me: int) -> None:
        seen[me] = threading.get_ident()

    for _ in range(2):
        seen.clear()
        team.run(work)
        assert set(seen) == {0, 1, 2}
        assert len(set(seen.values())) == 3
        assert seen[0] == threading.get_ident()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_members_wait_for_each_other(size: int) -> None:
    team, done = ThreadTeam(size), [0] * size

    def work(me: int) -> None:
        for meeting in range(1, 200):
            if meeting % 50 == me:  # now one is late, now another
                time.sleep(0.001)
            done[me] = meeting
            team.meet(me)
            assert min(done) == max(done) == meeting
            team.meet(me)

    team.run(work)
    assert done == [199] * size


@pytest.mark.parametrize("who", [0, 1, 2])
def test_a_failure_is_raised_and_nobody_waits_for_who_failed(who: int) -> None:
    team = ThreadTeam(3)

    def work(me: int) -> None:
        team.meet(me)
        if me == who:
            raise ValueError("a defect")
        team.meet(me)

    with pytest.raises(ValueError, match="a defect"):
        team.run(work)


@pytest.mark.parametrize("seed", range(0, 224, 3))
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_make_the_same_gradient_as_the_whole(seed: int, parts: int) -> None:
    network, x, y, _ = draw_network(seed)
    whole, z = draw_passes(network, len(x), seed), np.empty_like(y)
    key, left = np.array([seed], np.uint64), x.copy()
    whole(left, y, z, key=key)
    statistics = network.statistics.copy()
    network.statistics[...] = 0
    for variance in network.running_variances:
        variance[...] = 1
    team = ThreadTeam(parts)
    split = draw_passes(network, len(x), seed, parts)
    do = Operations(team.meet)
    split.gradient[...] = np.nan
    zs = [np.empty_like(y) for _ in range(parts)]
    team.run(lambda me: split(x, y, zs[me], me, do, key))
    for found in zs:
        np.testing.assert_allclose(found, z, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(split.gradient, whole.gradient, rtol=1e-9, atol=1e-13)
    np.testing.assert_array_equal(x, left)
    np.testing.assert_allclose(network.statistics, statistics, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parts_make_the_same_updates_as_the_whole(name: str) -> None:
    options = {"weight_decay": 0.1, "clip_norm": 0.5}
    found = []
    for parts in (1, 3):
        network, *_ = draw_network(100)
        team, g = ThreadTeam(parts), np.empty_like(network.parameters)
        pieces = [owned(network, part, parts) for part in range(parts)]
        rule = OPTIMIZERS[name](
            network.parameters, g, network.weight_count, parts=pieces, **options
        )
        do = Operations(team.meet)
        drawn = np.random.default_rng(0)
        for t in range(1, 5):
            g[...] = drawn.normal(size=g.shape)
            factors = rule.factors([0.05], t)[0]
            team.run(lambda me, f=factors, rule=rule, do=do: rule.step(f, me, do))
        found.append(network.parameters)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_parts_own_every_parameter_once() -> None:
    network, *_ = draw_network(7)
    for parts in (1, 2, 5):
        counts = np.zeros(len(network.parameters), int)
        for part in range(parts):
            for piece in owned(network, part, parts):
                counts[piece] += 1
        assert (counts == 1).all()
    assert owned(network, 0, 1) == [slice(0, len(network.parameters))]


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("slow", [0, 1])
@pytest.mark.parametrize("hidden", [[], [5], [7, 6], [4, 4, 4]])
def test_a_slow_member_changes_nothing(
    hidden: list[int], slow: int, clip_norm: float | None
) -> None:
    drawn = np.random.default_rng(0)
    x, y = drawn.normal(size=(9, 6)), np.eye(4)[drawn.integers(4, size=9)]
    found = []
    for parts in (1, 2):
        team = ThreadTeam(parts)
        network = Network([6, *hidden, 4], "tanh", "cross_entropy", "float64")
        network.initialise("glorot_normal", np.random.default_rng(1))

        def meet(me: int, team: ThreadTeam = team) -> None:
            team.meet(me)
            if me == slow:  # what the other may not touch yet, it would touch now
                time.sleep(0.002)

        do, split = Operations(meet), Backpropagation(network, 9, parts=parts)
        pieces = [owned(network, part, parts) for part in range(parts)]
        rule = OPTIMIZERS["sgd"](
            network.parameters, split.gradient, network.weight_count, parts=pieces,
            clip_norm=clip_norm,
        )  # fmt: skip
        zs = [np.empty((9, 4)) for _ in range(parts)]

        def work(me: int, split=split, rule=rule, zs=zs, do=do) -> None:
            for t in range(1, 6):
                split(x, y, zs[me], me, do)
                rule.step(rule.factors([1.0], t)[0], me, do)

        team.run(work)
        found.append(network.parameters)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-11, atol=1e-13)
