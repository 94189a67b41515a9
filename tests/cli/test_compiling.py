"""The first training with the extra `fast`: compiling is announced, and a signal ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.proofs import Proof

ROOT = Path(__file__).parents[2]
Mlp = Callable[..., subprocess.CompletedProcess[str]]

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")
pytestmark = [needs_numba, pytest.mark.long, pytest.mark.serial]


def test_compiling_is_announced_while_it_lasts_and_told_once(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first = mlp("train", config, "--out", "a", **cache)
    assert first.returncode == 0, first.stderr
    lines = first.stderr.splitlines()
    assert lines[0].startswith("Compiling the kernels, which takes about half a minute")
    assert lines[1].startswith("Compiled the kernels in ")
    assert lines[1].endswith("the next training finds them ready.")
    again = mlp("train", config, "--out", "b", **cache)
    assert "Compil" not in again.stderr


@pytest.mark.proof("S6 a signal while kernels compile")
def test_a_signal_while_kernels_compile_ends_the_process_soon(
    proof: Proof, config: Path, tmp_path: Path
) -> None:
    for trial in proof.trials(quick=4, long=50):
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[trial % 3]
        run = tmp_path / f"run-{trial}"
        process = subprocess.Popen(
            [sys.executable, "-m", "mlp_cli", "train", config, "--out", run],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "NUMBA_CACHE_DIR": str(tmp_path / f"cache-{trial}"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Compiling the kernels")
        time.sleep(trial * 2.3 % 9)
        process.send_signal(number)
        sent = time.monotonic()
        _, stderr = process.communicate(timeout=60)
        assert time.monotonic() - sent < 2
        assert process.returncode == -number
        assert "Traceback" not in stderr
    resumed = subprocess.run(
        [sys.executable, "-m", "mlp_cli", "train", config, "--out", run, "--resume", "--quiet"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert resumed.returncode == 0
