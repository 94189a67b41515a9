"""As the first process (PID 1) of a container, to which the default of a signal does nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.runs import assert_same_run
from helpers.servers import Server

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]

Mlp = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def as_first(folder: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start `mlp` as PID 1 of a namespace; yield `unshare`'s process and `mlp`'s own PID here."""
    command = [sys.executable, "-W", "error", "-m", "mlp_cli", *map(str, arguments)]
    with subprocess.Popen(
        [*UNSHARE, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, child_of(process.pid)
        finally:
            process.kill()


def child_of(parent: int) -> int:
    """Return the PID of a process's only child."""
    for _ in range(1000):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == parent:
                return int(stat.parent.name)
        time.sleep(0.01)
    raise AssertionError(f"process {parent} has no child")


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True, scope="module")
def permitted() -> None:
    """Skip if there is no `unshare`, or if this user may make no namespace."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, of util-linux")
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a PID namespace is not permitted: {done.stderr.strip()}")


@pytest.mark.long
@pytest.mark.parametrize("number", SIGNALS)
def test_a_training_is_saved_and_exits_with_128_and_the_signal(
    number: signal.Signals, mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    many = ["--set", "training.epochs=60", "--set", "training.batch_size=2", "--quiet"]
    with as_first(tmp_path, "train", config, *many, "--out", "stopped") as (process, pid):
        metrics = tmp_path / "stopped" / "metrics.jsonl"
        wait_for(lambda: metrics.exists() and metrics.stat().st_size)
        os.kill(pid, number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + number, "", "")
    assert not (tmp_path / "stopped" / "result.json").exists()
    assert mlp("train", config, *many, "--out", "stopped", "--resume").returncode == 0
    assert mlp("train", config, *many, "--out", "straight").returncode == 0
    assert_same_run(tmp_path / "stopped", tmp_path / "straight")


@pytest.mark.parametrize("number", SIGNALS)
def test_before_a_training_starts_the_exit_code_is_the_same(
    number: signal.Signals, tmp_path: Path
) -> None:
    with Server(lambda client: client.stall() and None) as server:
        arguments = ("train", "mnist", "--mirror", server.url, "--out", "run")
        with as_first(tmp_path, *arguments) as (process, pid):
            wait_for(lambda: server.requests)
            os.kill(pid, number)
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + number, "")
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
@pytest.mark.serial
@pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")
@pytest.mark.parametrize("seconds", [3, 12])
def test_a_signal_while_kernels_compile_ends_it_soon(
    seconds: int, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MLP_KERNELS", "fast")
    with as_first(tmp_path, "train", config, "--out", "run") as (process, pid):
        assert process.stderr is not None
        assert "the kernels must be compiled" in process.stderr.readline()
        time.sleep(seconds)
        os.kill(pid, signal.SIGTERM)
        sent = time.monotonic()
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - sent < 2
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")
    assert all(line.startswith("compiling for ") for line in err.splitlines())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_program_is_imported_ends_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "click.py").write_text(
        "import pathlib, time\npathlib.Path('imported').touch()\ntime.sleep(30)\n"
    )
    with as_first(tmp_path, "train", "mnist") as (process, pid):
        wait_for((tmp_path / "imported").exists)
        os.kill(pid, number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (128 + number, "", "")


def test_a_reader_that_has_gone_gives_128_and_sigpipe(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mlp_cli", "config", "schema"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*UNSHARE, *command],
        cwd=tmp_path, env=environ, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_signal_that_is_blocked_still_ends_the_process() -> None:
    code = (
        "import signal; from mlp_cli.cli.signals import die_by\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\ndie_by(signal.SIGTERM)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == -signal.SIGTERM
