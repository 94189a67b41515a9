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
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.proofs import Proof
from helpers.runs import assert_same_run, records

pytestmark = pytest.mark.serial
ROOT = Path(__file__).parents[2]

# Most of them train 12 short epochs of 500 images, in about 0.3 s after their start.
CONFIGURATIONS = {
    "sgd, odd last batch": ["optimizer={name: sgd}", "training.batch_size=7"],
    "momentum, cosine": [
        "optimizer={name: sgd, momentum: 0.9}", "schedule={name: cosine, warmup: 2}",
    ],
    "nesterov, float64": [
        "optimizer={name: sgd, momentum: 0.9, nesterov: true}", "training.dtype=float64",
    ],
    "adam, early stopping": ["training.patience=3", "training.epochs=40"],
    "adamw, decay": ["optimizer={name: adamw, weight_decay: 0.01}", "training.batch_size=9"],
    "rmsprop, clipped": ["optimizer={name: rmsprop, clip_norm: 0.5}"],
    "two threads": ["model.hidden=[40,30]", "training.batch_size=20", "threads=2"],
    "steps of the rate": ["schedule={name: step, every: 3, factor: 0.5}"],
    "no validation": ["data.validation=0"],
    "batch 1, mse": ["training.batch_size=1", "loss=mse", "training.epochs=3"],
    "one batch an epoch": ["training.batch_size=1000", "training.epochs=200"],
    "every regulariser": [
        "model={hidden: [16, 12], batch_norm: true}", "training.batch_size=13",
        "regularisation={input_dropout: 0.1, dropout: 0.2, max_norm: 1, label_smoothing: 0.1, "
        "noise: 0.1, input_noise: 0.2, average: 2}",
    ],
    "distorted": [
        "distortion={rotation: 10, elastic: [2, 4], smoothness: [1, 2], ease: 0.5}",
        "training.batch_size=9", "threads=2",
    ],
    "numpy": ["kernels=numpy", "model.hidden=[64]", "training.batch_size=5"],
}  # fmt: skip
NAMES = sorted(CONFIGURATIONS)

# As `mlp`, but it saves almost all the time, also within epochs: every second kill hits a save.
BUSY = (
    "import sys, mlp_cli.runs.saver as s; s.SHARE, s.LONGEST = 1, 0.02;"
    "from mlp_cli.__main__ import main; sys.argv[0] = 'mlp'; main()"
)
CALM = "from mlp_cli.__main__ import main; main()"


class Runs:
    """Runs of the configurations in one folder."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.config = folder, config
        self.straight: dict[str, tuple[Path, float]] = {}

    def start(self, name: str, out: Path, program: str = CALM) -> subprocess.Popen[str]:
        """Start or resume a training."""
        changes = dict(change.split("=", 1) for change in CONFIGURATIONS[name])
        threads, kernels = changes.pop("threads", "1"), changes.pop("kernels", "")
        sets = [word for item in changes.items() for word in ("--set", "=".join(item))]
        return subprocess.Popen(
            [
                sys.executable, "-c", program, "train", "--config", str(self.config),
                "--set", "training.epochs=12", *sets,
                "--threads", threads, "--out", str(out), "--resume",
            ],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": kernels},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )  # fmt: skip

    def start_and_kill(self, name: str, out: Path, seed: int) -> None:
        """Start a training and kill it at an instant that the seed gives."""
        process = self.start(name, out)
        time.sleep(next(instants(seed, self.reference(name)[1])))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def finish(self, name: str, out: Path) -> None:
        """Resume a training until its end."""
        process = self.start(name, out)
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr

    def reference(self, name: str) -> tuple[Path, float]:
        """Return the run that was never stopped, and how long it took."""
        if name not in self.straight:
            out = self.folder / f"straight-{NAMES.index(name)}"
            started = time.monotonic()
            self.finish(name, out)
            self.straight[name] = out, time.monotonic() - started
        return self.straight[name]

    def compare(self, name: str, out: Path) -> None:
        """Check that a run equals the one that was never stopped, and remove it."""
        assert_same_run(self.reference(name)[0], out)
        assert not list(out.glob(".*.tmp"))
        shutil.rmtree(out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    from conftest import write_own_images

    folder = tmp_path_factory.mktemp("kill")
    images = write_own_images(folder, 8, 8, 10, 600)
    config = folder / "c.yaml"
    config.write_text(
        f"data: {{path: {images}, validation: 100}}\n"
        "model: {hidden: [16]}\noptimizer: {name: adam, learning_rate: 0.003}\n"
        "training: {batch_size: 4}\n"
    )
    return Runs(folder, config)


def handles_signals(pid: int) -> bool:
    """Return whether a process handles SIGTERM, as the program does from its first lines on."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return False
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def instants(seed: int, longest: float) -> Iterator[float]:
    generator = random.Random(seed)
    while True:
        yield generator.uniform(0.05, longest)


@pytest.mark.long
@pytest.mark.proof("C2, M1 SIGKILL at random instants, then resume")
def test_killed_runs_resume_to_the_same_bits(runs: Runs, proof: Proof) -> None:
    for seed in proof.trials(quick=6, long=300):
        name = NAMES[seed % len(NAMES)]
        out = runs.folder / f"killed-{seed}"
        _, longest = runs.reference(name)
        wait = instants(seed, longest)
        for program in random.Random(seed).sample([CALM, BUSY], 2):
            process = runs.start(name, out, program)
            time.sleep(next(wait))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        for run in [out / "metrics.jsonl"] if (out / "metrics.jsonl").exists() else []:
            for line in run.read_bytes().split(b"\n")[:-1]:
                json.loads(line)
        runs.finish(name, out)
        runs.compare(name, out)


@pytest.mark.long
@pytest.mark.proof("S1 SIGINT at a random instant, then resume")
def test_a_run_stopped_by_sigint_resumes_to_the_same_bits(runs: Runs, proof: Proof) -> None:
    _stop(runs, proof, signal.SIGINT)


@pytest.mark.long
@pytest.mark.proof("S2 SIGTERM at a random instant, then resume")
def test_a_run_stopped_by_sigterm_resumes_to_the_same_bits(runs: Runs, proof: Proof) -> None:
    _stop(runs, proof, signal.SIGTERM)


@pytest.mark.long
@pytest.mark.proof("S3 SIGHUP at a random instant, then resume")
def test_a_run_stopped_by_sighup_resumes_to_the_same_bits(runs: Runs, proof: Proof) -> None:
    _stop(runs, proof, signal.SIGHUP)


def _stop(runs: Runs, proof: Proof, number: signal.Signals) -> None:
    quick, long = (4, 100) if number != signal.SIGHUP else (2, 50)
    for seed in proof.trials(quick=quick, long=long):
        name = NAMES[seed % len(NAMES)]
        out = runs.folder / f"stopped-{number}-{seed}"
        _, longest = runs.reference(name)
        process = runs.start(name, out, random.Random(seed).choice([CALM, BUSY]))
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
        runs.finish(name, out)
        runs.compare(name, out)


@pytest.mark.long
@pytest.mark.proof("S1 a shell loop stops when its training is interrupted")
def test_a_shell_loop_stops_with_its_training(runs: Runs, proof: Proof) -> None:
    name = "momentum, cosine"
    _, longest = runs.reference(name)
    command = [sys.executable, "-m", "mlp_cli", "train", "--config", str(runs.config)]
    loop = (
        f"for i in 1 2 3; do {shlex.join(command)} --quiet"
        " --set training.epochs=12 --out loop-$0-$i; echo $i; done"
    )
    for seed in proof.trials(quick=3, long=100):
        number = [signal.SIGINT, signal.SIGTERM][seed % 2]
        process = subprocess.Popen(
            ["bash", "-c", loop, str(seed)],
            cwd=runs.folder,
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
def test_a_suspended_run_continues_to_the_same_bits(runs: Runs, proof: Proof) -> None:
    for seed in proof.trials(quick=2, long=50):
        name = NAMES[seed % len(NAMES)]
        out = runs.folder / f"suspended-{seed}"
        _, longest = runs.reference(name)
        process = runs.start(name, out)
        time.sleep(next(instants(seed, longest)))
        process.send_signal(signal.SIGSTOP)  # as SIGTSTP does if it is not handled
        time.sleep(0.1)
        process.send_signal(signal.SIGCONT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        runs.compare(name, out)


@pytest.mark.long
@pytest.mark.proof("S1 a second signal is not waited for")
def test_a_second_signal_ends_a_training_at_once(runs: Runs, proof: Proof) -> None:
    """The first signal waits for the end of a long chunk, the second does not."""
    for seed in proof.trials(quick=1, long=20):
        out = runs.folder / f"twice-{seed}"
        process = subprocess.Popen(
            [
                sys.executable, "-m", "mlp_cli", "train", "--config", str(runs.config),
                "--set", "model.hidden=[4000,4000,4000]", "--set", "training.batch_size=500",
                "--set", "optimizer={name: sgd}",
                "--out", str(out), "--threads", "1",
            ],
            cwd=runs.folder,
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


@pytest.mark.long
@pytest.mark.proof("C11 processes that resume one run at once")
def test_of_many_processes_that_resume_a_run_one_at_a_time_trains_it(
    runs: Runs, proof: Proof
) -> None:
    name = "momentum, cosine"
    for seed in proof.trials(quick=2, long=100):
        out = runs.folder / f"many-{seed}"
        if seed % 2:  # every other run was started and killed before
            runs.start_and_kill(name, out, seed)
        processes = [runs.start(name, out) for _ in range(2 + seed % 5)]
        ended = [process.communicate(timeout=300) for process in processes]
        codes = [process.returncode for process in processes]
        assert 0 in codes and set(codes) <= {0, 2}, ended
        for code, (_, stderr) in zip(codes, ended, strict=True):
            assert code == 0 or "another process is training this run" in stderr
        runs.compare(name, out)


# Locks that do nothing, as on some network file systems.
LOCKLESS = f"import fcntl; fcntl.flock = lambda *_: None; {CALM}"


@pytest.mark.long
@pytest.mark.proof("C11 the same without locks")
def test_processes_that_train_a_run_without_locks_do_not_damage_it(
    runs: Runs, proof: Proof
) -> None:
    name = "momentum, cosine"
    for seed in proof.trials(quick=2, long=100):
        out = runs.folder / f"lockless-{seed}"
        if seed % 2:
            runs.start_and_kill(name, out, seed)
        processes = [runs.start(name, out, LOCKLESS) for _ in range(2 + seed % 3)]
        for process in processes:
            _, stderr = process.communicate(timeout=300)
            assert process.returncode in (0, 2, 7) and "Traceback" not in stderr, stderr
        runs.finish(name, out)
        runs.compare(name, out)


@pytest.mark.proof("R3 the folder is moved away during the training")
def test_a_training_whose_folder_disappears_ends_by_one_message(runs: Runs, proof: Proof) -> None:
    for seed in proof.trials(quick=1, long=10):
        out = runs.folder / f"vanishing-{seed}"
        process = runs.start("one batch an epoch", out, BUSY)
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
def test_a_warning_says_that_a_run_is_resumed_with_other_kernels(runs: Runs) -> None:
    out = runs.folder / "moved"
    process = runs.start("numpy", out, BUSY)
    while not (out / "metrics.jsonl").exists() or not records(out):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    CONFIGURATIONS["moved"] = [*CONFIGURATIONS["numpy"], "kernels=fast"]
    process = runs.start("moved", out)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "kernels: numpy then, " in stderr
