"""A first training with the extra `fast`: compiling is announced, shared, and ended by signals."""

from __future__ import annotations

import fcntl
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.kept_kernels import folder_of_kernels
from helpers.proofs import Proof

ROOT = Path(__file__).parents[2]
Mlp = Callable[..., subprocess.CompletedProcess[str]]

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")
pytestmark = [needs_numba, pytest.mark.long]

ANNOUNCED = "WARNING: the kernels must be compiled. This takes about half a minute, once on a"
WAITING = "WARNING: another process is compiling the kernels. Waiting for it."
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def start(*arguments: object, cache: Path) -> subprocess.Popen[str]:
    """Start `mlp` with the compiled kernels, which it finds in `cache` if it has any."""
    environ = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache), "MLP_KERNELS": "fast"}
    return subprocess.Popen(
        [sys.executable, "-m", "mlp_cli", *map(str, arguments)],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.nightly
@pytest.mark.proof("E6 four first runs at once")
def test_four_first_runs_at_once_compile_once(proof: Proof, config: Path, tmp_path: Path) -> None:
    for trial in proof.trials(quick=1, long=3):
        folder = tmp_path / str(trial)
        processes = [
            start("train", config, "--quiet", "--out", folder / str(run), cache=folder)
            for run in range(4)
        ]
        outputs = sorted(process.communicate(timeout=300)[1] for process in processes)
        assert outputs[:3] == [f"{WAITING}\n"] * 3
        assert outputs[3].startswith(ANNOUNCED) and outputs[3].count("\n") == 1
        assert [process.returncode for process in processes] == [0] * 4
        later = start("train", config, "--quiet", "--out", folder / "later", cache=folder)
        assert later.communicate(timeout=60)[1] == ""


@pytest.mark.nightly
def test_a_gradient_check_announces_compiling_and_says_how_long_it_took(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    done = mlp("gradcheck", config, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    announced, *meanwhile, reported = done.stderr.splitlines()
    assert announced.startswith(ANNOUNCED)
    assert meanwhile
    assert all(re.fullmatch(r"compiling for \d+ s …", line) for line in meanwhile)
    assert reported.startswith("Compiled the kernels in ")


@pytest.fixture
def compiling_elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder for compiled kernels that is locked, as by a process that compiles them."""
    descriptor = os.open(folder_of_kernels(tmp_path), os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield tmp_path
    os.close(descriptor)


@pytest.mark.serial
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_waiting_for_another_process(
    number: signal.Signals, mlp: Mlp, config: Path, compiling_elsewhere: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start("train", config, "--quiet", "--out", run, cache=compiling_elsewhere)
    assert process.stderr is not None
    assert process.stderr.readline() == f"{WAITING}\n"
    process.send_signal(number)
    sent = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - sent < 2
    assert (process.returncode, stderr) == (-number, "")
    assert mlp("train", config, "--out", run, "--resume").returncode == 0


@pytest.mark.nightly
@pytest.mark.serial
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_gradient_check_that_compiles(
    number: signal.Signals, config: Path, tmp_path: Path
) -> None:
    process = start("gradcheck", config, cache=tmp_path)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(ANNOUNCED)
    time.sleep(3)
    process.send_signal(number)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 2
    assert (process.returncode, out, err) == (-number, "", "")


@pytest.mark.parametrize("call", ["check_gradient({})", "train({}, out='run', kernels='fast')"])
def test_a_call_from_python_says_that_it_waits(
    call: str, compiling_elsewhere: Path, tmp_path: Path
) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(compiling_elsewhere)}
    call = call.format("{'data': {'dataset': 'synthetic'}}")
    process = subprocess.Popen(
        [sys.executable, "-c", f"from mlp_cli import *; {call}"],
        cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == f"{WAITING}\n"
    process.kill()
    process.communicate()


@pytest.mark.serial
@pytest.mark.proof("S6 a signal at a random instant of a first run")
def test_a_signal_at_any_instant_of_a_first_run_ends_it_soon(
    proof: Proof, mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    for trial in proof.trials(quick=1, long=50):
        number = SIGNALS[trial % 3]
        run = tmp_path / f"run-{trial}"
        process = start("train", config, "--out", run, cache=tmp_path / f"cache-{trial}")
        time.sleep(random.Random(trial + 1).uniform(0.5, 20))
        process.send_signal(number)
        sent = time.monotonic()
        _, stderr = process.communicate(timeout=60)
        assert time.monotonic() - sent < 2, stderr
        assert process.returncode in (-number, 0), stderr  # 0 if it was finished
        assert "Traceback" not in stderr
        resumed = mlp("train", config, "--out", run, "--resume", "--quiet")
        assert (resumed.returncode, resumed.stderr) == (0, "")
        assert (run / "result.json").exists()
