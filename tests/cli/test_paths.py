"""Paths of runs: unusual names, places that cannot hold a run, permissions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.privileges import without_root
from helpers.proofs import Proof
from helpers.quick_training import FILES, ROOT, Train, snapshot

PATHS = ["a b", "é", "日本😀", "$(id)'\"`", "-x", "new\nline", "tab\t", "%s{}", "x" * 200]
PATHS += ["\udcff\udc80"]  # bytes that are not UTF-8


@pytest.mark.long
@pytest.mark.proof("E1 a path with unusual characters")
def test_paths_with_unusual_characters_work(
    proof: Proof, train: Train, quick_config: Path, tmp_path: Path
) -> None:
    for name in proof.points(PATHS, quick=2):
        folder = tmp_path / f"in {name}"
        folder.mkdir()
        shutil.copy(quick_config, folder / f"{name}.yaml")
        given = ["--config", folder / f"{name}.yaml", "--json"]
        strict = {"PYTHONIOENCODING": "utf-8:strict"}
        done = train(*given, "--out", f"./{name}/run", environ=strict, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["run"] == f"{name}/run"
        text = train(*given[:2], "--out", f"./{name}/run", "--resume", environ=strict, cwd=folder)
        assert text.stdout.splitlines()[-1] == os.fsencode(f"{name}/run").splitlines()[-1]
        own = train(*given[:2], environ=strict, cwd=folder)  # named after the configuration
        assert own.returncode == 0, own.stderr
        assert (folder / os.fsdecode(own.stdout.splitlines()[-1]) / "result.json").is_file()
        wrong = train(*given[:2], "--set", "sed=1", environ=strict, cwd=folder)
        assert wrong.returncode == 2
        missing = train("--config", f"{name}.none", environ=strict, cwd=folder)
        assert (missing.returncode, b"Traceback" in missing.stderr) == (2, False)


def test_a_relative_data_path_in_a_folder_that_is_not_utf_8_is_refused(
    train: Train, tmp_path: Path
) -> None:
    folder = tmp_path / "\udcff"
    folder.mkdir()
    done = train("--set", "data.path=own", cwd=folder)
    assert done.returncode == 2
    assert b"the working directory's name is not UTF-8. Give an absolute path" in done.stderr


@pytest.mark.long
def test_in_a_deleted_working_directory_only_absolute_paths_work(
    train: Train, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()

    def leave() -> None:
        os.chdir(tmp_path / "gone")
        Path.cwd().rmdir()

    done = train("--out", tmp_path / "run", before=leave)
    assert (done.returncode, done.stderr) == (0, b"")
    for arguments, code, words in (
        ([], 7, b"cannot make a folder in runs"),
        (["--out", "run"], 7, b"cannot make run"),
        (["--set", "data.path=own"], 2, b"the working directory is gone"),
    ):
        done = train(*arguments, before=lambda: ((tmp_path / "gone").mkdir(), leave()))
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert done.stderr.count(b"\n") == 1


def refused_paths(tmp_path: Path) -> list[tuple[str, list[str]]]:
    """Make paths that cannot hold a run; return a name of each and its arguments."""
    for name in ("locked", "locked-run"):
        (tmp_path / name).mkdir()
    (tmp_path / "locked-run" / "env.json").write_text("{}")
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("metrics.jsonl", "last.npz"):
        (tmp_path / f"run-{name}").mkdir()
        (tmp_path / f"run-{name}" / "env.json").write_text("{}")
        os.mkfifo(tmp_path / f"run-{name}" / name)
    for name in ("locked", "locked-run"):
        (tmp_path / name).chmod(0o555)
    return [
        ("read-only", ["--out", "locked"]),
        ("in a read-only folder", ["--out", "locked/run"]),
        ("a run in a read-only folder", ["--out", "locked-run", "--resume"]),
        ("the same", ["--out", "locked-run", "--overwrite"]),
        ("a file", ["--out", "file"]),
        ("in a file", ["--out", "file/run"]),
        ("a link to itself", ["--out", "loop"]),
        ("in a link to itself", ["--out", "loop/run"]),
        ("a link to nothing", ["--out", "dangling"]),
        ("a FIFO", ["--out", "fifo"]),
        ("a device", ["--out", "/dev/null"]),
        ("a folder that cannot be made", ["--out", "/proc/run"]),
        ("a name too long", ["--out", "x" * 300]),
        ("metrics to a FIFO", ["--out", "run-metrics.jsonl", "--resume"]),
        ("metrics to a FIFO, again", ["--out", "run-metrics.jsonl", "--overwrite"]),
        ("a checkpoint from a FIFO", ["--out", "run-last.npz", "--resume"]),
    ]


@pytest.mark.long
@pytest.mark.proof("C10 a path that cannot hold a run")
def test_a_path_that_cannot_hold_a_run_is_refused_before_training(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    paths = refused_paths(tmp_path)
    before = snapshot(tmp_path)
    try:
        for name, arguments in proof.points(paths, quick=6):
            done = train(*arguments, before=without_root, timeout=60)
            assert done.returncode == 7, (name, done.stderr)
            assert done.stderr.count(b"\n") == 1, (name, done.stderr)
            assert os.fsencode(arguments[1]) in done.stderr, name
            assert not done.stdout
            assert snapshot(tmp_path) == before, name
    finally:
        for name in ("locked", "locked-run"):
            (tmp_path / name).chmod(0o755)


@pytest.mark.long
def test_a_file_named_runs_is_refused_and_out_makes_all_folders(
    train: Train, tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("")
    done = train()
    assert done.returncode == 7
    assert b"cannot make a folder in runs" in done.stderr
    done = train("--out", "made/on/the/way")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made/on/the/way/result.json").is_file()


@pytest.mark.long
@pytest.mark.parametrize("target", ["fifo", "link to a device"])
def test_predictions_do_not_replace_a_device(target: str, train: Train, tmp_path: Path) -> None:
    assert train("--out", "run").returncode == 0
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link to a device").symlink_to("/dev/null")
    done = subprocess.run(
        [sys.executable, "-m", "mlp_cli", "eval", "run", "--predictions", target],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 7
    assert b"it is a folder or a device" in done.stderr
    assert not (tmp_path / target).is_file()


@pytest.mark.long
@pytest.mark.proof("C12 a umask")
def test_permissions_follow_the_umask(proof: Proof, train: Train, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o2775)  # with setgid: new files belong to the group of the folder
    for mask in proof.points([0o077, 0o002, 0o022, 0o027, 0o000], quick=2):
        run = tmp_path / "shared" / f"run-{mask:o}"
        done = train("--out", run, before=lambda mask=mask: os.umask(mask))
        assert done.returncode == 0, done.stderr
        assert run.stat().st_mode & 0o777 == 0o777 & ~mask
        assert {path.name for path in run.iterdir()} == FILES
        for path in run.iterdir():
            assert path.stat().st_mode & 0o777 == 0o666 & ~mask, path
            assert path.stat().st_gid == (tmp_path / "shared").stat().st_gid
