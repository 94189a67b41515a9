"""Trainings that are killed, stopped and resumed lose nothing and give the same results.

A run that is killed at random instants and then resumed to the end must equal the run that was
never stopped: every array byte for byte, every metric and result except the times.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.killed_runs import (
    BUSY,
    CALM,
    NAMES,
    ROOT,
    Runs,
    handles_signals,
    instants,
)
from helpers.proofs import Proof


@pytest.mark.long
@pytest.mark.proof("C2, M1 SIGKILL at random instants, then resume")
def test_killed_runs_resume_to_the_same_bits(killed_runs: Runs, proof: Proof) -> None:
    for seed in proof.trials(quick=6, long=300):
        name = NAMES[seed % len(NAMES)]
        out = killed_runs.folder / f"killed-{seed}"
        _, longest = killed_runs.reference(name)
        wait = instants(seed, longest)
        for program in random.Random(seed).sample([CALM, BUSY], 2):
            process = killed_runs.start(name, out, program)
            time.sleep(next(wait))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        for run in [out / "metrics.jsonl"] if (out / "metrics.jsonl").exists() else []:
            for line in run.read_bytes().split(b"\n")[:-1]:
                json.loads(line)
        killed_runs.finish(name, out)
        killed_runs.compare(name, out)


@pytest.mark.serial
@pytest.mark.long
@pytest.mark.proof("S1 SIGINT at a random instant, then resume")
def test_a_run_stopped_by_sigint_resumes_to_the_same_bits(killed_runs: Runs, proof: Proof) -> None:
    _stop(killed_runs, proof, signal.SIGINT)


@pytest.mark.serial
@pytest.mark.long
@pytest.mark.proof("S2 SIGTERM at a random instant, then resume")
def test_a_run_stopped_by_sigterm_resumes_to_the_same_bits(killed_runs: Runs, proof: Proof) -> None:
    _stop(killed_runs, proof, signal.SIGTERM)


@pytest.mark.serial
@pytest.mark.long
@pytest.mark.proof("S3 SIGHUP at a random instant, then resume")
def test_a_run_stopped_by_sighup_resumes_to_the_same_bits(killed_runs: Runs, proof: Proof) -> None:
    _stop(killed_runs, proof, signal.SIGHUP)


def _stop(killed_runs: Runs, proof: Proof, number: signal.Signals) -> None:
    for seed in proof.trials(quick=2, long=100 if number != signal.SIGHUP else 50):
        name = NAMES[seed % len(NAMES)]
        out = killed_runs.folder / f"stopped-{number}-{seed}"
        _, longest = killed_runs.reference(name)
        process = killed_runs.start(name, out, random.Random(seed).choice([CALM, BUSY]))
        while number == signal.SIGINT and not handles_signals(process.pid):
            time.sleep(0.001)
        time.sleep(next(instants(seed + 1000, longest)))
        sent = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        assert time.monotonic() - sent < 5
        assert process.returncode in (-number, 0), stderr  # 0 if it had just ended
        assert "Traceback" not in stderr and "ignored" not in stderr, stderr
        assert stdout or process.returncode
        killed_runs.finish(name, out)
        killed_runs.compare(name, out)


@pytest.mark.long
@pytest.mark.proof("S1 a shell loop stops when its training is interrupted")
def test_a_shell_loop_stops_with_its_training(killed_runs: Runs, proof: Proof) -> None:
    name = "momentum, cosine"
    _, longest = killed_runs.reference(name)
    command = [sys.executable, "-m", "mlp_cli", "train", "--config", str(killed_runs.config)]
    loop = (
        f"for i in 1 2 3; do {shlex.join(command)} --quiet"
        " --set training.epochs=12 --out loop-$0-$i; echo $i; done"
    )
    for seed in proof.trials(quick=3, long=100):
        number = [signal.SIGINT, signal.SIGTERM][seed % 2]
        process = subprocess.Popen(
            ["bash", "-c", loop, str(seed)],
            cwd=killed_runs.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for wait in (next(instants(seed, longest)), 0):
            # While Python itself starts, a signal would end it with an exit code instead.
            while not (child := children.read_text().split()) or not handles_signals(int(child[0])):
                time.sleep(0.001)
            time.sleep(wait)
        os.killpg(process.pid, number)
        process.communicate(timeout=60)
        assert process.returncode == -number


@pytest.mark.long
@pytest.mark.proof("S3 SIGTSTP, SIGCONT")
def test_a_suspended_run_continues_to_the_same_bits(killed_runs: Runs, proof: Proof) -> None:
    for seed in proof.trials(quick=2, long=50):
        name = NAMES[seed % len(NAMES)]
        out = killed_runs.folder / f"suspended-{seed}"
        _, longest = killed_runs.reference(name)
        process = killed_runs.start(name, out)
        time.sleep(next(instants(seed, longest)))
        process.send_signal(signal.SIGSTOP)  # as SIGTSTP does if it is not handled
        time.sleep(0.1)
        process.send_signal(signal.SIGCONT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        killed_runs.compare(name, out)


@pytest.mark.long
@pytest.mark.proof("S1 a second signal is not waited for")
def test_a_second_signal_ends_a_training_at_once(killed_runs: Runs, proof: Proof) -> None:
    """The first signal waits for the end of a long chunk, the second does not."""
    for seed in proof.trials(quick=1, long=20):
        out = killed_runs.folder / f"twice-{seed}"
        process = subprocess.Popen(
            [
                sys.executable, "-m", "mlp_cli", "train", "--config", str(killed_runs.config),
                "--set", "model.hidden=[4000,4000,4000]", "--set", "training.batch_size=500",
                "--set", "optimizer={name: sgd}",
                "--out", str(out), "--threads", "1",
            ],
            cwd=killed_runs.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        while not (out / "last.npz").exists():
            assert process.poll() is None
            time.sleep(0.05)
        written = (out / "last.npz").stat().st_mtime_ns
        process.send_signal(signal.SIGINT)
        time.sleep(seed / 200)
        process.send_signal(
            signal.SIGTERM
        )  # because two equal signals within one call may count as one
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in (-signal.SIGINT, -signal.SIGTERM)
        assert "Traceback" not in stderr
        assert (out / "last.npz").stat().st_mtime_ns == written
        shutil.rmtree(out)
