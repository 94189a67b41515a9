"""Chunks that one thread computes alone: the same bits, and only where others came late."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra fast")

from helpers.drawn_trainer import trainer

from mlp_cli.compute.fast import kernels as fast_kernels
from mlp_cli.compute.fast.alone import SHARE, SHORTEST, Packed, Turns, in_turn
from mlp_cli.compute.fast.kernels import FastKernels
from mlp_cli.compute.fast.opcodes import IN_VAIN, OPERANDS, OPERATIONS, Barrier, Multiply
from mlp_cli.compute.threads import Task, ThreadTeam
from mlp_cli.nn.ops import Ops

EVERYTHING: dict[str, Any] = {
    "model": {"hidden": [64, 48], "activation": "relu", "batch_norm": True, "decoder": 2.0},
    "optimizer": {"momentum": 0.9, "nesterov": True, "clip_norm": 1.0},
    "distortion": {"rotation": 5, "elastic": [1, 2], "smoothness": [1, 2], "thickness": 0.5},
    "regularisation": {"dropout": 0.2, "input_noise": 0.1, "noise": 0.1, "max_norm": 2.0},
}
WIDE: dict[str, Any] = {"model": {"hidden": [400, 300], "activation": "relu"}}
EPOCHS = 4


def program(*lines: int) -> Packed:
    """Return a program: 0 is a barrier, and another number is the operand of some other line."""
    packed = np.zeros((len(lines), OPERANDS), np.int64)
    packed[:, 0] = [OPERATIONS.index(Multiply if line else Barrier) for line in lines]
    packed[:, 1] = lines
    return packed, np.array(lines, float)[:, np.newaxis]


def test_between_two_barriers_the_lines_of_one_worker_follow_those_of_another() -> None:
    lines, constants = in_turn([program(1, 2, 0, 0, 3), program(11, 0, 12, 0)])
    assert lines[:, 1].tolist() == constants[:, 0].tolist() == [1, 2, 11, 12, 3]
    assert {*lines[:, 0]} == {OPERATIONS.index(Multiply)}


def who(turns: Turns, chunks: int, alone: float, together: float, in_vain: bool = True) -> str:
    """Return for each of so many chunks who computed it, if they take so many seconds."""
    found = ""
    for _ in range(chunks):
        found += "a" if turns.alone else "t"
        turns.took(alone if turns.alone else together, in_vain and not turns.alone)
    return found


def test_threads_that_never_wait_in_vain_stay_together() -> None:
    assert who(Turns(), 1000, alone=1, together=2, in_vain=False) == "t" * 1000


def test_one_thread_alone_goes_on_if_it_is_faster_and_the_threads_try_less_often() -> None:
    found = who(Turns(), 2000, alone=1, together=2)
    first, *pauses = found.split("t" * 2, 1)[1].split("t")
    assert (first, [len(each) for each in pauses[:7]]) == (
        "a" * (2 + SHORTEST), [51, 101, 201, 257, 257, 257, 257]
    )  # fmt: skip


def test_the_threads_go_on_if_they_are_faster_though_they_wait_in_vain() -> None:
    found = who(Turns(), 2000, alone=2, together=1)
    assert [len(each) for each in found.split("a")[:7]] == [2, 51, 101, 201, 257, 257, 257]


@pytest.mark.parametrize("together", [1.1, 1.5, 4])
def test_trials_cost_a_fiftieth_of_the_time_at_most_once_one_was_lost(together: float) -> None:
    found = who(Turns(), 150, alone=1, together=together)
    after = found.lstrip("t").split("t", 1)[1]
    assert after.count("t") * (together - 1) <= SHARE * len(after)


def test_the_threads_are_together_again_soon_after_the_machine_is_quiet() -> None:
    turns = Turns()
    busy = who(turns, 100, alone=1, together=2)
    quiet = who(turns, 200, alone=1, together=0.5, in_vain=False)
    assert quiet.lstrip("a") == "t" * len(quiet.lstrip("a"))
    assert quiet.count("a") <= len(busy)


class EveryOther(Turns):
    """Computes every other chunk alone."""

    def took(self, seconds: float, in_vain: bool) -> None:
        self.alone = not self.alone


@pytest.mark.parametrize("sections", [WIDE, EVERYTHING], ids=["without zeros", "everything"])
@pytest.mark.parametrize("threads", [2, 3])
def test_a_chunk_has_the_same_bits_if_one_thread_computes_it(
    threads: int, sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for turns in (Turns, EveryOther):
        monkeypatch.setattr(fast_kernels, "Turns", turns)
        training = trainer(
            FastKernels(), threads, training={"epochs": EPOCHS, "batch_size": 64}, **sections
        )
        for _ in range(EPOCHS):
            training.train_epoch(lambda loss: False)
        found.append({name: vector.tobytes() for name, vector in training.vectors.items()})
    assert found[0] == found[1]


class Late(ThreadTeam):
    """A team whose workers wait in vain, and for long; it counts its tasks."""

    def __init__(self) -> None:
        super().__init__(2)
        self.tasks = 0
        self.counter: Any = None

    def run(self, task: Task) -> None:
        assert self.counter[IN_VAIN] == 0  # of this chunk alone
        super().run(task)
        self.tasks += 1
        self.counter[IN_VAIN] = 1
        time.sleep(0.01)


def test_after_waits_in_vain_the_caller_computes_alone() -> None:
    a, team, tasks = np.ones(2, np.float32), Late(), []

    def double(ops: Ops, worker: int) -> None:
        own = a[worker : worker + 1]
        ops.add(own, own, own)

    run: Any = FastKernels().prepare(double, team, a.dtype)
    team.counter = run._counter
    for _ in range(13):
        run()
        tasks.append(team.tasks)
    assert a.tolist() == [2**13, 2**13]
    assert tasks == [1, *11 * [2], 3]
