"""Several processes on one run, or in one folder of runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.proofs import Proof
from helpers.quick_training import FILES, ROOT, Train, snapshot


@pytest.mark.long
@pytest.mark.proof("T2 a run that another process trains")
def test_a_run_in_use_is_refused_and_left_unchanged(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from mlp_cli.runs.folder import RunFolder\n"
        + ("with RunFolder(Path('run')).locked(): print('held', flush=True); time.sleep(100)")
    )
    assert train("--out", "run").returncode == 0
    (tmp_path / "run" / "result.json").unlink()
    before = snapshot(tmp_path / "run")
    for _ in proof.trials(quick=1, long=20):
        with subprocess.Popen(
            [sys.executable, "-c", hold],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            for mode in ("--resume", "--overwrite"):
                done = train("--out", "run", mode)
                assert done.returncode == 2
                assert done.stderr == (
                    b"Error: run: another process is training this run. Wait for it, or choose "
                    b"another --out.\n"
                )
                assert snapshot(tmp_path / "run") == before
            holder.kill()
    assert train("--out", "run", "--resume").returncode == 0


@pytest.mark.long
@pytest.mark.proof("R2 trainings that start in the same second")
def test_trainings_that_start_at_once_get_folders_of_their_own(
    proof: Proof, quick_config: Path, tmp_path: Path
) -> None:
    many = 64 if proof.long else 4
    for _ in proof.trials(quick=1, long=1):
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "mlp_cli", "train", "--config", quick_config, "--quiet"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
            )
            for _ in range(many)
        ]
        names = [process.communicate()[0].splitlines()[-1] for process in processes]
        assert [process.returncode for process in processes] == many * [0]
        assert {os.fsdecode(name) for name in names} == {f"runs/c-{n + 1}" for n in range(many)}
        for name in map(os.fsdecode, names):
            assert {entry.name for entry in (tmp_path / name).iterdir()} == FILES
