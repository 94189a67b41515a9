"""A run that fails before it has written anything leaves no folder. Names of new runs."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlp_cli import SilentObserver, train
from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.runs.claim import claim, run_name
from mlp_cli.storage.folders import make_folder

Mlp = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
HUGE = {"model.hidden": [65_536, 65_536], "training.epochs": 1}  # 17 GB of weights
OUTS = [None, "run", "deep/in/run"]


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def limited(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Train a network that is too large for 4 GB of memory."""
    return subprocess.run(
        [sys.executable, "-m", "mlp_cli", "train", config, "--threads=1", *arguments,
         *(f"--set={key}={value}" for key, value in HUGE.items())],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("out", OUTS)
def test_a_network_too_large_for_the_memory_leaves_no_folder(
    out: str | None, config: Path, tmp_path: Path
) -> None:
    before = entries(tmp_path)
    done = limited(config, *([] if out is None else ["--out", out]))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: not enough memory.")
    assert entries(tmp_path) == before


@pytest.mark.long
def test_folders_that_were_there_before_stay(config: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "other-1").mkdir(parents=True)
    before = entries(tmp_path)
    for arguments in (["--out=empty"], ["--out=empty/run"], []):
        assert limited(config, *arguments).returncode == 2
        assert entries(tmp_path) == before
        assert entries(tmp_path / "runs") == ["other-1"]
        assert entries(tmp_path / "empty") == []


@pytest.mark.long
@pytest.mark.parametrize("out", OUTS)
def test_a_disk_without_room_for_the_first_file_leaves_no_folder(
    out: str | None, config: Path, tmp_path: Path
) -> None:
    before = entries(tmp_path)
    done = subprocess.run(
        [sys.executable, "-B", "-m", "mlp_cli", "train", config,
         *([] if out is None else ["--out", out])],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
        preexec_fn=_no_room, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert entries(tmp_path) == before


def _no_room() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def test_a_folder_that_another_process_trains_in_stays(config: Path, tmp_path: Path) -> None:
    endless = {"training.epochs": 100_000}
    sets = [f"--set={key}={value}" for key, value in endless.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlp_cli", "train", config, *sets, "--out=run", "--quiet"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not (tmp_path / "run" / "last.npz").exists():
            assert process.poll() is None
            time.sleep(0.02)
        with pytest.raises(ConfigError, match="another process is training"):
            train(config, out=tmp_path / "run", set=endless, resume=True, observer=SilentObserver())
        assert process.poll() is None
        assert "last.npz" in entries(tmp_path / "run")
    finally:
        process.kill()
        process.wait()


def test_an_error_after_the_first_file_leaves_what_was_written(
    config: Path, tmp_path: Path
) -> None:
    folder = claim(tmp_path / "deep" / "run", "x")
    with pytest.raises(KeyError), folder.locked():
        folder.write_json(folder.env, {})
        raise KeyError
    assert entries(folder.path) == ["env.json"]
    again = claim(tmp_path / "deep" / "run-2", "x")
    with pytest.raises(KeyError), again.locked():
        raise KeyError
    assert entries(tmp_path / "deep") == ["run"]


def test_a_folder_that_cannot_be_made_leaves_none_of_its_parents(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        claim(tmp_path / "a" / "b" / ("x" * 300), "x")
    assert entries(tmp_path) == []
    assert make_folder(tmp_path / "a" / "b") == [tmp_path / "a", tmp_path / "a" / "b"]
    assert make_folder(tmp_path / "a" / "b") == []


@pytest.mark.long
def test_a_run_is_claimed_although_a_failed_one_removes_the_folder_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = (
        "import pathlib, time\n"
        "until = time.monotonic() + 2\n"
        "while time.monotonic() < until:\n"
        "    try: pathlib.Path('runs').rmdir()\n"
        "    except OSError: pass\n"
    )
    remover = subprocess.Popen([sys.executable, "-c", program])
    try:
        while remover.poll() is None:
            folder = claim(None, "name").path
            assert folder.is_dir()
            folder.rmdir()
    finally:
        remover.wait()


@pytest.mark.long
def test_a_run_of_another_runs_configuration_has_the_name_of_that_run(
    config: Path, mlp: Mlp, tmp_path: Path
) -> None:
    short = ("--set", "training.epochs=1", "--quiet")
    assert mlp("train", config, *short, "--out", "tried/x").returncode == 0
    done = mlp("train", "--config", "tried/x/config.yaml", "--quiet")
    assert done.stdout.endswith("\nruns/x-1\n")
    again = train(tmp_path / "runs/x-1/config.yaml", out=tmp_path / "y", observer=SilentObserver())
    assert run_name(again.path / "config.yaml") == "y"


def test_a_config_yaml_that_is_the_users_own_gives_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "project" / "config.yaml"
    own.parent.mkdir()
    own.write_text("{}")
    (own.parent / "train.py").touch()
    assert run_name(own) == "config"
    (own.parent / "metrics.jsonl").touch()  # in the folder of a run
    assert run_name(own) == "project"
    monkeypatch.chdir(own.parent)
    assert run_name(Path("config.yaml")) == "project"
    assert run_name(Path("other.yaml")) == "other"
    assert run_name(Path("-")) == "-"
