"""Chunks that one thread computes alone: the same bits, and only where others came late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra fast")

from helpers.drawn_trainer import trainer

from mlp_cli.compute.fast import kernels as fast_kernels
from mlp_cli.compute.fast.alone import LONGEST, Packed, Turns, in_turn
from mlp_cli.compute.fast.kernels import FastKernels
from mlp_cli.compute.fast.opcodes import IN_VAIN, OPERANDS, OPERATIONS, Barrier, Multiply
from mlp_cli.compute.threads import Task, ThreadTeam
from mlp_cli.nn.ops import Ops

EVERYTHING: dict[str, Any] = {
    "model": {"hidden": [64, 48], "activation": "relu", "batch_norm": True, "decoder": 2.0},
    "optimizer": {"momentum": 0.9, "nesterov": True, "clip_norm": 1.0},
    "distortion": {"rotation": 5, "elastic": [1, 2], "smoothness": [1, 2]},
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


def test_threads_that_wait_in_vain_try_less_often_and_more_often_once_they_do_not() -> None:
    turns = Turns()

    def alone() -> int:
        count = 0
        while turns.is_alone():
            count += 1
        return count

    assert alone() == 0
    found = []
    for _ in range(9):
        turns.tried(in_vain=True)
        found.append(alone())
    assert found == [1, 2, 4, 8, 16, 32, 64, 64, 64]
    assert max(found) == LONGEST
    for _ in range(3):
        turns.tried(in_vain=False)
        assert alone() == 0
    turns.tried(in_vain=True)
    assert alone() == 8


class EveryOther(Turns):
    """Computes every other chunk alone."""

    def is_alone(self) -> bool:
        self._left = 1 - self._left
        return self._left == 1


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
    """A team whose workers waited in vain if `late`; it counts its tasks."""

    def __init__(self) -> None:
        super().__init__(2)
        self.tasks, self.late = 0, True
        self.counter: Callable[[], Any] = list

    def run(self, task: Task) -> None:
        assert self.counter()[IN_VAIN] == 0  # of this chunk alone
        super().run(task)
        self.tasks += 1
        self.counter()[IN_VAIN] = self.late


def test_after_waits_in_vain_the_caller_computes_alone() -> None:
    a, team = np.ones(2, np.float32), Late()

    def double(ops: Ops, worker: int) -> None:
        own = a[worker : worker + 1]
        ops.add(own, own, own)

    run: Any = FastKernels().prepare(double, team, a.dtype)
    team.counter = lambda: run._counter
    tasks = []
    for _ in range(5):
        run()
        tasks.append(team.tasks)
    assert a.tolist() == [32, 32]
    assert tasks == [1, 1, 2, 2, 2]
    team.late = False
    for _ in range(3):
        run()
    assert team.tasks == 5
