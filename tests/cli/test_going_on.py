"""What a training says when it starts, is stopped and goes on, and the run as a configuration."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlp_cli.compute.machine import available_cores

ROOT = Path(__file__).parents[2]

Mlp = Callable[..., subprocess.CompletedProcess[str]]


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "mlp_cli", "train", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stopped(folder: Path, *arguments: object, out: str = "a b") -> str:
    """Interrupt a training, and return the command that it names."""
    many = ("--set", "training.epochs=200", "--out", out)
    metrics = folder / out / "metrics.jsonl"
    process = start(folder, "small.yaml", *many, *arguments)
    wait_for(lambda: metrics.exists() and metrics.stat().st_size)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    *_, where, command = said.splitlines()
    assert where.startswith("Stopped and saved ")
    assert where.endswith("To go on:")
    return command.strip()


@pytest.mark.long
def test_the_command_that_a_stopped_training_names_continues_it(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    command = stopped(tmp_path, "--data-dir", "some data", "--threads", 2)
    words = shlex.split(command)
    options = ["--data-dir", "some data", "--threads", "2"]
    assert words == ["mlp", "train", "--resume", "--out", "a b", *options]
    done = mlp(*words[1:])
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("continued")]
    assert "step" in line
    whole = mlp("train", config, "--set", "training.epochs=200", "--out", "whole", "--threads", 2)
    assert whole.returncode == 0
    assert not [line for line in whole.stderr.splitlines() if line.startswith("continued")]
    one, other = (np.load(tmp_path / out / "last.npz") for out in ("a b", "whole"))
    assert all(np.array_equal(one[name], other[name]) for name in one.files if "layers" in name)


@pytest.mark.long
def test_a_quiet_training_says_nothing_when_it_is_stopped(config: Path, tmp_path: Path) -> None:
    process = start(tmp_path, config, "--set", "training.epochs=200", "--out", "a", "--quiet")
    metrics = tmp_path / "a" / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and metrics.stat().st_size)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("", "")


@pytest.mark.long
def test_a_run_is_its_own_configuration(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    assert mlp("train", config, "--set", "seed=3", "--out", "a").returncode == 0
    again = mlp("train", "--resume", "--out", "a", "--json")
    assert again.returncode == 0
    longer = mlp("train", "--resume", "--out", "a", "--set", "training.epochs=4", "--json")
    assert json.loads(longer.stdout)["epochs"] == 4
    other = mlp("train", "--resume", "--out", "a", "--set", "seed=4")
    assert other.returncode == 2
    assert "differs from the run's in seed" in other.stderr


@pytest.mark.long
@pytest.mark.parametrize("made", [False, True])
def test_without_a_run_or_a_configuration_nothing_is_started(
    made: bool, mlp: Mlp, tmp_path: Path
) -> None:
    if made:
        (tmp_path / "b").mkdir()
    done = mlp("train", "--resume", "--out", "b")
    assert done.returncode == 2
    assert "there is no run to continue" in done.stderr
    assert "mlp train CONFIG --resume --out b" in done.stderr
    assert (tmp_path / "b").exists() == made


@pytest.mark.long
def test_a_run_is_not_overwritten_by_the_default_configuration(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    assert mlp("train", config, "--out", "a").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    refused = mlp("train", "--overwrite", "--out", "a")
    assert refused.returncode == 2
    assert "--overwrite needs a configuration" in refused.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "environ", "named"),
    [(["--threads", 99], {}, "threads"), ([], {"OMP_NUM_THREADS": "99"}, "OMP_NUM_THREADS")],
)
def test_a_training_takes_one_thread_a_core_and_says_so(
    options: list[object],
    environ: dict[str, str],
    named: str,
    mlp: Mlp,
    config: Path,
    tmp_path: Path,
) -> None:
    cores = available_cores()
    done = mlp("train", config, "--out", "a", *options, MLP_OVERSUBSCRIBE="", **environ)
    assert done.returncode == 0
    assert f"WARNING: {named}=99, but this process may use {cores} core" in done.stderr
    assert json.loads((tmp_path / "a" / "env.json").read_text())["threads"] == cores


@pytest.mark.long
def test_the_summary_names_what_is_trained(mlp: Mlp, config: Path) -> None:
    done = mlp("train", config, "--set", "schedule.name=cosine", "--out", "a", "--threads", 1)
    found, *lines = done.stderr.splitlines()
    assert found.startswith(f"{config.parent / 'own-8x8-10'}: IDX files, 600 train and 150 test")
    said = dict(line.split("  ", 1) for line in lines[:7])
    assert {name: text.strip() for name, text in said.items()} == {
        "run": "a",
        "data": f"{config.parent / 'own-8x8-10'}: 500 training, 100 validation, 150 test images",
        "network": "64-16-10, relu, 1,210 parameters",
        "optimizer": "adam, learning rate 0.01",
        "schedule": "cosine",
        "training": "3 epochs of 16 steps, batch size 32",
        "computed by": lines[6].removeprefix("computed by").strip(),
    }
    assert "1 thread, " in said["computed by"]
