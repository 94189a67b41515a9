"""Trainings whose run other processes use too, or whose folder or kernels change."""

from __future__ import annotations

import shutil
import signal
import time
from importlib.util import find_spec

import pytest
from helpers.killed_runs import (
    BUSY,
    CALM,
    CONFIGURATIONS,
    Runs,
)
from helpers.proofs import Proof
from helpers.runs import records


@pytest.mark.long
@pytest.mark.proof("C11 processes that resume one run at once")
def test_of_many_processes_that_resume_a_run_one_at_a_time_trains_it(
    killed_runs: Runs, proof: Proof
) -> None:
    name = "momentum, cosine"
    for seed in proof.trials(quick=2, long=100):
        out = killed_runs.folder / f"many-{seed}"
        if seed % 2:  # every other run was started and killed before
            killed_runs.start_and_kill(name, out, seed)
        processes = [killed_runs.start(name, out) for _ in range(2 + seed % 5)]
        ended = [process.communicate(timeout=300) for process in processes]
        codes = [process.returncode for process in processes]
        assert 0 in codes and set(codes) <= {0, 2}, ended
        for code, (_, stderr) in zip(codes, ended, strict=True):
            assert code == 0 or "another process is training this run" in stderr
        killed_runs.compare(name, out)


# Locks that do nothing, as on some network file systems.
LOCKLESS = f"import fcntl; fcntl.flock = lambda *_: None; {CALM}"


@pytest.mark.long
@pytest.mark.proof("C11 the same without locks")
def test_processes_that_train_a_run_without_locks_do_not_damage_it(
    killed_runs: Runs, proof: Proof
) -> None:
    name = "momentum, cosine"
    for seed in proof.trials(quick=2, long=100):
        out = killed_runs.folder / f"lockless-{seed}"
        if seed % 2:
            killed_runs.start_and_kill(name, out, seed)
        processes = [killed_runs.start(name, out, LOCKLESS) for _ in range(2 + seed % 3)]
        for process in processes:
            _, stderr = process.communicate(timeout=300)
            assert process.returncode in (0, 2, 7) and "Traceback" not in stderr, stderr
        killed_runs.finish(name, out)
        killed_runs.compare(name, out)


@pytest.mark.proof("R3 the folder is moved away during the training")
def test_a_training_whose_folder_disappears_ends_by_one_message(
    killed_runs: Runs, proof: Proof
) -> None:
    for seed in proof.trials(quick=1, long=10):
        out = killed_runs.folder / f"vanishing-{seed}"
        process = killed_runs.start("one batch an epoch", out, BUSY)
        while not (out / "metrics.jsonl").exists():
            time.sleep(0.01)
        time.sleep(0.01 * seed)
        gone = out.rename(out.with_name("gone"))
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in (0, 7), stderr
        if process.returncode == 7:
            assert str(out) in stderr and "Traceback" not in stderr
            assert not out.exists()
        shutil.rmtree(gone)


@pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra fast")
def test_a_warning_says_that_a_run_is_resumed_with_other_kernels(killed_runs: Runs) -> None:
    out = killed_runs.folder / "moved"
    process = killed_runs.start("numpy", out, BUSY)
    while not (out / "metrics.jsonl").exists() or not records(out):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    CONFIGURATIONS["moved"] = [*CONFIGURATIONS["numpy"], "kernels=fast"]
    process = killed_runs.start("moved", out)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "kernels: numpy then, " in stderr
