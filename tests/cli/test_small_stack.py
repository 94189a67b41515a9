"""A small limit on the stack (`ulimit -s`), which overflows without a message."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.quick_training import ROOT

KB = 1 << 10
PLENTY = 8 << 20  # bytes

# Python itself needs about 80 kB to start, and reading deep JSON takes a deep stack.
LIMITS = (96 * KB, 128 * KB, 256 * KB)


def python(soft: int, hard: int, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (soft, hard)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def largest() -> int:
    """The highest limit that this process may set."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    if hard != resource.RLIM_INFINITY and hard < PLENTY:
        pytest.skip("needs a hard limit of 8 MiB on the stack (`ulimit -Hs`)")
    return hard


@pytest.mark.long
@pytest.mark.parametrize("soft", LIMITS)
def test_a_small_stack_is_enlarged_for_all_threads(soft: int, largest: int, tmp_path: Path) -> None:
    use = (
        "import sys, threading\n"
        "from mlp_cli.cli.stack import ensure_stack\n"
        "ensure_stack()\n"
        "sys.setrecursionlimit(10**6)\n"
        "def dive(depth): return depth and max(map(dive, [depth - 1]))\n"  # through C each time
        "thread = threading.Thread(target=dive, args=(1000,))\n"
        "thread.start(); thread.join(); dive(1000); print('whole')"
    )
    done = python(soft, largest, tmp_path, "-c", use)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


@pytest.mark.long
@pytest.mark.parametrize("soft", LIMITS[:2])
def test_a_training_works_with_a_small_stack(
    soft: int, largest: int, config: Path, tmp_path: Path
) -> None:
    train = ["-m", "mlp_cli", "train", str(config), "--out", "run", "--resume", "--threads", "2"]
    assert python(soft, largest, tmp_path, *train).returncode == 0
    (tmp_path / "run" / "result.json").write_text("[" * 900 + "]" * 900)
    done = python(soft, largest, tmp_path, *train, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "nested more than 20 deep" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("hard", LIMITS[1:])
def test_a_stack_that_may_not_be_enlarged_is_used_as_it_is(
    hard: int, config: Path, tmp_path: Path
) -> None:
    for soft in (hard, hard - 4 * KB):
        train = ["-m", "mlp_cli", "train", str(config), "--out", f"run-{soft}", "--quiet"]
        done = python(soft, hard, tmp_path, *train)
        assert (done.returncode, done.stderr) == (0, "")
