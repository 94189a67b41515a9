"""Sweeps that are stopped and killed: nothing is lost, nothing is trained twice."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.privileges import without_root
from helpers.proofs import Proof
from helpers.sweeps import GRID, ROOT, run, start, table, write_sweep

Images = Callable[..., Path]

pytestmark = pytest.mark.long


def wait_for(path: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    while not list(path.glob(pattern)):
        assert process.poll() is None
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_saves_dies_by_the_signal_and_continues(
    number: signal.Signals, tmp_path: Path, own_images: Images
) -> None:
    file = write_sweep(tmp_path, own_images(), epochs=40)
    run(file, "--out", tmp_path / "plain")
    out = tmp_path / "out"
    process = start(file, "--out", out, "--jobs", 2)
    wait_for(out, "trials/*/*/last.npz", process)
    if number == signal.SIGINT:  # as a terminal sends it
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -number
    assert "The same command continues." in err
    assert "Traceback" not in err
    assert run(file, "--out", out).returncode == 0
    assert table(out) == table(tmp_path / "plain")


def test_sigterm_to_one_of_several_stops_that_one(tmp_path: Path, own_images: Images) -> None:
    file, out = write_sweep(tmp_path, own_images(), epochs=20), tmp_path / "out"
    first, second = (start(file, "--out", out, "--jobs", 1) for _ in range(2))
    wait_for(out, "trials/00001/*/last.npz", first)
    first.terminate()
    first.communicate(timeout=30)
    second.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (-signal.SIGTERM, 0)
    assert len(table(out)) == 7


@pytest.mark.serial
def test_the_trainings_of_a_killed_sweep_end(tmp_path: Path, own_images: Images) -> None:
    file, out = write_sweep(tmp_path, own_images(), epochs=100_000), tmp_path / "out"
    process = start(file, "--out", out, "--jobs", 2)
    wait_for(out, "trials/00001/*/last.npz", process)
    trainings = children(process.pid)
    assert len(trainings) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(map(is_alive, trainings)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.serial
def test_a_training_that_is_always_killed_becomes_a_failed_trial(
    tmp_path: Path, own_images: Images
) -> None:
    file, out = write_sweep(tmp_path, own_images(), epochs=100_000), tmp_path / "out"
    process = start(file, "--out", out, "--jobs", 1, "--fail-fast")
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        time.sleep(0.1)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "its process was ended by SIGKILL, as the system does if memory runs out" in err


@pytest.mark.nightly
@pytest.mark.proof("a sweep whose processes are killed")
def test_killed_sweeps_have_the_table_of_an_undisturbed_one(
    tmp_path: Path, own_images: Images, proof: Proof
) -> None:
    text = (
        "search:\n  optimizer.learning_rate: {low: 0.01, high: 0.2, step: 0.01}\n"
        f"  model.hidden: [{', '.join(f'[{width}]' for width in range(2, 4))}]\n"
        "confirm: {top: 2, seeds: 2}\n"
    )
    file, out = write_sweep(tmp_path, own_images(), text, epochs=3), tmp_path / "out"
    assert run(file, "--out", tmp_path / "plain").returncode == 0
    for trial in proof.trials(3, 20):
        chance = random.Random(trial)
        several = [start(file, "--out", out, "--jobs", 2) for _ in range(4)]
        time.sleep(chance.uniform(0.8, 3.0))
        for process in several:
            process.kill()
        for process in several:
            process.communicate()
    several = [start(file, "--out", out, "--jobs", 2) for _ in range(4)]
    outputs = [process.communicate(timeout=300) for process in several]
    assert [process.returncode for process in several] == [0] * 4, outputs
    assert table(out) == table(tmp_path / "plain")


def test_a_full_disk_is_one_message_and_the_sweep_continues(
    tmp_path: Path, own_images: Images
) -> None:
    file, out = write_sweep(tmp_path, own_images(), GRID), tmp_path / "out"
    run(file, "--out", tmp_path / "plain")
    limit = (resource.RLIMIT_FSIZE, (2500, 2500))
    done = run(file, "--out", out, preexec_fn=lambda: resource.setrlimit(*limit))
    assert done.returncode == 7
    assert done.stderr.count("Error: ") == 1
    assert "Traceback" not in done.stderr
    assert run(file, "--out", out).returncode == 0
    assert table(out) == table(tmp_path / "plain")


def test_a_folder_without_permission_is_one_message_and_the_sweep_continues(
    tmp_path: Path, own_images: Images
) -> None:
    file, out = write_sweep(tmp_path, own_images(), epochs=1), tmp_path / "out"
    run(file, "--out", out)
    shutil.rmtree(out / "trials/00003")
    (out / "trials").chmod(0o555)
    done = run(file, "--out", out, preexec_fn=without_root)
    (out / "trials").chmod(0o755)
    assert done.returncode == 7
    assert done.stderr.count("Error: ") == 1
    assert "Traceback" not in done.stderr
    assert run(file, "--out", out).returncode == 0
    assert len(table(out)) == 7


def test_a_file_system_without_locks_is_refused(tmp_path: Path, own_images: Images) -> None:
    file, out = write_sweep(tmp_path, own_images()), tmp_path / "out"
    code = (
        "import errno, fcntl, os\n"
        "def refuse(*_): raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))\n"
        "fcntl.flock = refuse\n"
        "from mlp_cli.__main__ import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "sweep", file, "--out", out],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert "no locks that work (No locks available)" in done.stderr
    assert not list(out.glob("trials/*"))
