"""Values as Hydra and W&B agents give them, and threads, as docs/sweeps.md tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.shell_sweeps import block, prepare, run

pytestmark = pytest.mark.long


def config_of(folder: Path) -> Any:
    return yaml.safe_load((folder / "config.yaml").read_text())


def test_changes_in_the_style_of_hydra_are_applied(config: Path) -> None:
    folder = prepare(config)
    code, out = run(block("train()"), folder)
    assert code == 0, out
    used = config_of(folder / "runs/mnist-1")
    assert used["optimizer"]["learning_rate"] == 0.3
    assert used["model"]["hidden"] == [128]
    assert used["training"]["epochs"] == 3


def test_the_arguments_of_a_wandb_agent_are_applied(config: Path) -> None:
    folder = prepare(config)
    sweep = yaml.safe_load(block("${args}", "yaml"))
    assert set(sweep["parameters"]) == {"optimizer.learning_rate", "model.hidden"}
    values = {"optimizer.learning_rate": 3e-05, "model.hidden": [7, 5], "model.batch_norm": True}
    words = []
    for word in sweep["command"]:  # the agent replaces this element, and formats values with str()
        words += [f"--{k}={v}" for k, v in values.items()] if word == "${args}" else [word]
    environ = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "WANDB_RUN_ID": "x1"}
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    used = config_of(folder / "runs/wandb/x1")
    assert used["optimizer"]["learning_rate"] == 3e-05
    assert used["model"]["hidden"] == [7, 5]
    assert used["model"]["batch_norm"] is True


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and taskset")
@pytest.mark.parametrize(
    ("before", "options", "hidden", "threads"),
    [
        ("", "", [16], 1),
        ("", "--threads 1", [1500, 1500], 1),
        ("OMP_NUM_THREADS=1", "", [1500, 1500], 1),
        ("SLURM_CPUS_PER_TASK=1", "", [1500, 1500], 1),
        ("taskset -c CORE", "", [1500, 1500], 1),
        ("", "", [1500, 1500], len(os.sched_getaffinity(0))),
    ],
)
@pytest.mark.serial
def test_of_several_runs_at_once_each_has_its_own_threads_and_one_of_blas(
    before: str, options: str, hidden: list[int], threads: int, config: Path
) -> None:
    folder, cores = prepare(config), sorted(os.sched_getaffinity(0))
    environ = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    environ.pop("MLP_OVERSUBSCRIBE", None)
    change = f"--set 'model.hidden={hidden}' --set training.epochs=100000"
    commands = [
        f"exec env {before} mlp train mnist {change} {options} --out runs/{core}".replace(
            "CORE", str(core)
        )
        for core in cores
    ]
    runs = [
        subprocess.Popen(["sh", "-c", each], cwd=folder, env=environ, stderr=subprocess.DEVNULL)
        for each in commands
    ]
    try:
        counts = [set[int]() for _ in runs]
        while not all((folder / f"runs/{core}/last.npz").exists() for core in cores):
            for process, seen in zip(runs, counts, strict=True):
                assert process.poll() is None
                seen.add(len(list(Path(f"/proc/{process.pid}/task").iterdir())))
        assert [max(seen) for seen in counts] == [threads] * len(runs)
    finally:
        for process in runs:
            process.kill()
            process.wait()
