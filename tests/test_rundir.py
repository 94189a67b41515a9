"""Who may have a run's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.rundir import FILES, RunFolder, check_out, claim


def make_run(path: Path) -> Path:
    path.mkdir()
    for name in FILES:
        (path / name).write_text("{}")
    return path


def test_a_new_or_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for mode in ("new", "resume", "overwrite"):
        check_out(tmp_path / "none", mode)
        check_out(tmp_path / "empty", mode)


def test_a_folder_with_a_run_needs_a_word(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"--resume .* --overwrite"):
        check_out(run, "new")
    check_out(run, "resume")
    check_out(run, "overwrite")


def test_a_folder_with_other_files_is_refused_always(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1\n")  # the user's own: no run
    for mode in ("new", "resume", "overwrite"):
        with pytest.raises(ConfigError, match="not empty and holds no run"):
            check_out(tmp_path, mode)


def test_a_file_or_a_dangling_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "link", "loop"):
        with pytest.raises(StorageError, match="cannot use"):
            check_out(tmp_path / name, "new")


def test_clearing_removes_a_runs_files_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "notes.txt").write_text("mine")
    RunFolder(run).clear()
    assert [entry.name for entry in run.iterdir()] == ["notes.txt"]


def test_who_holds_a_folder_sweeps_it_of_what_a_kill_left(tmp_path: Path) -> None:
    for name in ("last.npz", ".notes.txt.abc123.tmp", ".last.npz.abc123.tmp"):
        (tmp_path / name).write_text("")
    with RunFolder(tmp_path).locked():
        names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".notes.txt.abc123.tmp", "last.npz"]


def test_leftovers_of_a_kill_do_not_fill_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".env.json.abc123.tmp").write_text("")
    check_out(tmp_path, "new")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "mnist-1"),
        ("../x", "_x-1"),
        ("-rf", "rf-1"),
        ("...", "run-1"),
        ("a b\n", "a_b_-1"),
        ("ö" * 300, "_" * 100 + "-1"),
    ],
)
def test_names_become_safe(
    name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert claim(None, name).path == Path("runs") / folder


def test_processes_that_start_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    code = "from mlp_cli.rundir import claim; print(claim(None, 'x').path)"
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
        )
        for _ in range(8)
    ]
    folders = {racer.communicate()[0] for racer in racers}
    assert len(folders) == 8


def test_a_second_trainer_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked(), pytest.raises(ConfigError, match="another process"), folder.locked():
        raise AssertionError("both hold the run")
    with folder.locked():
        assert folder.path.exists()


def test_metrics_are_cut_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for line in ("one", "two", "three"):
        folder.append_metrics(line)
    folder.metrics.write_bytes(folder.metrics.read_bytes() + b'{"torn')
    folder.keep_metrics(2)
    assert folder.metrics.read_text() == "one\ntwo\n"


def test_a_line_of_metrics_for_which_there_is_no_room_leaves_those_before(tmp_path: Path) -> None:
    code = (
        "import pathlib, resource; from mlp_cli.rundir import RunFolder\n"
        "folder = RunFolder(pathlib.Path()); folder.append_metrics('one')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6, 6))\n"
        "folder.append_metrics('two')"  # of which 2 bytes have room
    )
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "StorageError: cannot write metrics.jsonl" in done.stderr
    assert (tmp_path / "metrics.jsonl").read_text() == "one\n"


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_result() is None
    folder.result.write_text("{")
    with pytest.raises(StorageError, match="is damaged"):
        folder.read_result()
