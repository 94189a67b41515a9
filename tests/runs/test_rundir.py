"""The folder of a run: when it may be used, its name, its lock and its files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers.proofs import Proof
from helpers.selection import few

from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.runs.claim import Mode, check_out, claim
from mlp_cli.runs.folder import FILES, RunFolder
from mlp_cli.runs.records import Result
from mlp_cli.training.metrics import EpochMetrics


def make_run(path: Path) -> Path:
    path.mkdir()
    for name in FILES:
        (path / name).write_text("{}")
    return path


def test_a_new_or_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for mode in ("new", "resume", "overwrite"):
        check_out(tmp_path / "none", mode)
        check_out(tmp_path / "empty", mode)


def test_a_folder_with_a_run_needs_resume_or_overwrite(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"--resume .* --overwrite"):
        check_out(run, "new")
    check_out(run, "resume")
    check_out(run, "overwrite")


@pytest.mark.parametrize("name", ["config.yaml", ".lock"])
def test_a_folder_with_other_files_is_refused_always(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("seed: 1\n")  # a file of the user, not of a run
    for mode in ("new", "resume", "overwrite"):
        with pytest.raises(ConfigError, match="not empty and holds no run"):
            check_out(tmp_path, mode)


def test_a_file_or_a_broken_link_cannot_be_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("file", "link", "loop"):
        with pytest.raises(StorageError, match="cannot use"):
            check_out(tmp_path / name, "new")


def test_clearing_removes_only_the_files_of_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "notes.txt").write_text("mine")
    (run / ".last.npz.abc123.tmp").write_text("left by a kill")
    with RunFolder(run).locked():  # it removes the temporary file
        RunFolder(run).clear()
    assert [entry.name for entry in run.iterdir()] == ["notes.txt"]


def test_locking_a_folder_removes_the_temporary_files_of_a_killed_run(tmp_path: Path) -> None:
    for name in ("last.npz", ".notes.txt.abc123.tmp", ".last.npz.abc123.tmp"):
        (tmp_path / name).write_text("")
    with RunFolder(tmp_path).locked():
        names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".notes.txt.abc123.tmp", "last.npz"]


def test_a_folder_with_only_temporary_files_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / ".env.json.abc123.tmp").write_text("")
    check_out(tmp_path, "new")


NAMES = [
    ("mnist", "mnist"),
    ("rate-0.1_b", "rate-0.1_b"),
    ("../x", "_x"),
    ("../../../etc/passwd", "_.._.._etc_passwd"),
    ("/etc/x", "_etc_x"),
    ("a/b", "a_b"),
    ("a\\b", "a_b"),
    ("-rf", "rf"),
    ("--help", "help"),
    (".", "run"),
    ("..", "run"),
    ("...", "run"),
    (".hidden", "hidden"),
    (".-.-x", "x"),
    ("", "run"),
    (" ", "_"),
    ("x ", "x_"),
    (" x", "_x"),
    ("~", "_"),
    ("$(id)", "__id_"),
    ("a;b|c&d", "a_b_c_d"),
    ("*", "_"),
    ("a\0b", "a_b"),
    ("a\nb", "a_b"),
    ("a b\n", "a_b_"),
    ("a\tb\x1b[31m", "a_b__31m"),
    ("CON", "CON"),
    ("nul.txt", "nul.txt"),
    ("C:", "C_"),
    ("😀", "_"),
    ("é", "_"),  # one character
    ("e\u0301", "e_"),  # the same, as two
    ("\u202egnp", "_gnp"),
    ("\udcff", "_"),
    ("٣", "_"),
    ("x" * 300, "x" * 100),
    ("ö" * 300, "_" * 100),
    ("-" * 300, "run"),
]


@pytest.mark.proof("R1 a hostile name of a configuration")
def test_the_name_of_a_run_is_made_safe(
    proof: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, safe in proof.points(NAMES, quick=len(NAMES)):
        folder = claim(None, name).path
        stem, _, number = folder.name.rpartition("-")
        assert (folder.parent, stem) == (Path("runs"), safe)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", stem), name
        assert number.isdecimal()
        assert folder.resolve().parent == tmp_path / "runs"
        assert folder.is_dir()
    assert [entry.name for entry in tmp_path.iterdir()] == ["runs"]


# In each of `rounds` rounds, 64 processes claim one name at once. `locks` says what flock does.
RACE = """
import errno, fcntl, os, sys
from mlp_cli.runs.claim import claim
def nothing(*_): pass
def no_locks(*_): raise OSError(errno.ENOLCK, "No locks available")
rounds, locks = int(sys.argv[1]), sys.argv[2]
if locks != "work":
    fcntl.flock = {"do nothing": nothing, "fail": no_locks}[locks]
for number in range(rounds):
    gate, names = os.pipe(), os.pipe()
    children = []
    for _ in range(64):
        child = os.fork()
        if not child:
            try:
                os.close(gate[1])
                os.read(gate[0], 1)  # until the parent lets go
                folder = claim(None, f"round{number}")
                with folder.locked():
                    folder.append_metrics(str(os.getpid()))
                os.write(names[1], f"{folder.path.name} ".encode())
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    os.close(gate[0]), os.close(gate[1]), os.close(names[1])
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    with os.fdopen(names[0]) as file:
        print(file.read())
"""


@pytest.mark.parametrize(
    "locks",
    few(
        [
            pytest.param(locks, marks=pytest.mark.proof(f"R2 64 claims of one name, locks {locks}"))
            for locks in ("work", "do nothing", "fail")
        ],
        3,
    ),
)
def test_processes_that_start_at_once_get_folders_of_their_own(
    locks: str, proof: Proof, tmp_path: Path
) -> None:
    rounds = 100 if proof.long else 2
    python = [sys.executable, "-W", "error", "-W", "ignore::UserWarning"]  # that there are no locks
    done = subprocess.run(
        [*python, "-c", RACE, str(rounds), locks],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    for number in proof.trials(quick=2, long=100):
        assert set(lines[number].split()) == {f"round{number}-{k + 1}" for k in range(64)}
        for name in lines[number].split():  # no process wrote into the folder of another
            assert (tmp_path / "runs" / name / "metrics.jsonl").read_text().count("\n") == 1


@pytest.mark.parametrize("mode", ["resume", "overwrite"])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["FIFO", "folder", "link to itself", "link to nothing"])
def test_a_path_that_is_no_regular_file_is_refused(
    kind: str, name: str, mode: Mode, tmp_path: Path
) -> None:
    path = make_run(tmp_path / "run") / name
    path.unlink()
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if kind == "link to itself" else "nowhere")
    with pytest.raises(StorageError, match=f"run/{name}: it is not a regular file"):
        check_out(tmp_path / "run", mode)


HOLD = "import sys, time; from pathlib import Path; from mlp_cli.runs.folder import RunFolder\n" + (
    "with RunFolder(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(100)"
)


@pytest.mark.proof("T2 the holder of a run's lock is killed")
def test_a_lock_ends_when_its_holder_is_killed(proof: Proof, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in proof.trials(quick=2, long=20):
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path], env=environment, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            refusal = f"{tmp_path}: another process is training this run. Wait for it"
            with pytest.raises(ConfigError, match=refusal), folder.locked():
                raise AssertionError("both hold the run")
            holder.kill()
        with folder.locked():
            assert list(tmp_path.iterdir()) == []  # the lock leaves no file


def test_a_second_lock_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked(), pytest.raises(ConfigError, match="another process"), folder.locked():
        raise AssertionError("both hold the run")
    with folder.locked():
        assert folder.path.exists()


def test_lines_of_metrics_that_are_damaged_or_too_many_are_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    metrics = [EpochMetrics(epoch, 9, 0.1, 2.0, 0.5, None, None, 1e4, 1.0) for epoch in (1, 2, 3)]
    lines = [f"{record.to_json()}\n".encode() for record in metrics]
    for line in lines:
        folder.append_metrics(line.decode().rstrip())
    deep = b'{"epoch": 3, "a": ' + b"[" * 100_000 + b"\n"
    torn = [lines[0], lines[0], b'{"ep\n', lines[1], b"7\n", deep, lines[2], b'{"epoch": 4}']
    folder.metrics.write_bytes(b"".join(torn))
    assert folder.keep_metrics(4) == 3
    assert folder.metrics.read_bytes() == b"".join(lines)
    assert folder.keep_metrics(2) == 2
    assert folder.metrics.read_bytes() == b"".join(lines[:2])


def test_a_process_stops_if_another_one_wrote_metrics(tmp_path: Path) -> None:
    one, other = RunFolder(tmp_path), RunFolder(tmp_path)
    one.append_metrics("{}")
    with pytest.raises(ConfigError, match="another process is training this run"):
        other.append_metrics("{}")
    one.append_metrics("{}")
    assert one.metrics.read_text() == "{}\n{}\n"


def test_a_line_of_metrics_that_cannot_be_written_is_removed_again(tmp_path: Path) -> None:
    code = (
        "import pathlib, resource; from mlp_cli.runs.folder import RunFolder\n"
        "folder = RunFolder(pathlib.Path()); folder.append_metrics('one')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6, 6))\n"
        "folder.append_metrics('two')"  # only 2 bytes of it fit
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "StorageError: cannot write metrics.jsonl" in done.stderr
    assert (tmp_path / "metrics.jsonl").read_text() == "one\n"


DAMAGED = [
    (b"", r"it is not valid JSON \(.*: line 1, column 1\)"),
    (b"{", r"it is not valid JSON \(.*: line 1, column 2\)"),
    (b"[]", "it is not a JSON object"),
    (b"null", "it is not a JSON object"),
    (b'{"test_accuracy": NaN}', "it holds a number that is not finite"),
    (b'{"epochs": 1, "epochs": 2}', "it holds the key 'epochs' twice"),
    (b'{"dataset": "\xff"}', "it is not valid UTF-8"),
    (b'{"a":' * 100_000, "it is nested more than 20 deep"),
]


@pytest.mark.parametrize(("content", "reason"), DAMAGED)
def test_the_message_for_a_damaged_result_gives_the_reason_and_the_remedy(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_result() is None
    folder.result.write_bytes(content)
    remedy = "Remove it and resume the run, which writes it again"
    with pytest.raises(StorageError, match=f"result.json is damaged: {reason}. {remedy}"):
        folder.read_result()


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    result = asdict(Result("mnist", 3, None, None, 0.98, 200, [0.018, 0.022], False, 7.5, 1e4))
    folder.write_result(result)
    assert folder.read_result() == result
