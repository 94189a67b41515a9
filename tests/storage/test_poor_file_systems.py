"""File systems that lack what others have, and messages that name the remedy."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.loaded import COMMAND as MLP
from helpers.loaded import Loaded
from helpers.privileges import without_root
from helpers.quick_training import ROOT
from helpers.runs import assert_same_run
from helpers.selection import few
from helpers.tracing import usable

from mlp_cli.storage.remedies import remedy

ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"}
NO_SYNC = "the file system cannot force changes to disk"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function that runs a command, with faults at some of its system calls."""

    def run(
        *words: object, faults: Sequence[str] = (), before: Callable[[], object] | None = None
    ) -> subprocess.CompletedProcess[str]:
        if faults and not usable():
            pytest.skip("needs strace and the permission to trace")
        command = list(map(str, words))
        if not faults and before is None and command[: len(MLP)] == MLP:
            return Loaded.current.run(command[len(MLP) :], tmp_path, ENVIRON)
        return subprocess.run(
            [*(["strace", "-f", "-qqq", "-o", "log", *faults] if faults else []), *command],
            cwd=tmp_path,
            env=ENVIRON,
            preexec_fn=before,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def train(run: Run, config: Path) -> Run:
    """A function that trains in a folder, as `run` does."""
    return lambda out, **options: run(*MLP, "train", config, "--out", out, "--quiet", **options)


def failing(call: str, error: str, *paths: Path) -> list[str]:
    """Return the options for strace that make a call on these paths fail, or on all."""
    only = [word for path in paths for word in ("-P", str(path))]
    return [*only, "-e", f"trace={call}", "-e", f"inject={call}:error={error}"]


@pytest.mark.long
@pytest.mark.parametrize("error", few(["EOPNOTSUPP", "ENOSYS", "EINVAL"], 3))
def test_a_training_works_without_fsync_and_says_so_once(
    error: str, train: Run, tmp_path: Path
) -> None:
    done = train("run", faults=failing("fsync", error))
    assert done.returncode == 0, done.stderr
    reason = os.strerror(getattr(errno, error))
    assert done.stderr == (
        f"WARNING: .: {NO_SYNC} ({reason}). If the power fails, the latest files may be lost.\n"
    )
    assert train("other").returncode == 0
    assert_same_run(tmp_path / "run", tmp_path / "other")


@pytest.mark.long
@pytest.mark.parametrize("error", few(["EIO", "EBADF", "EACCES", "EISDIR", "ENODEV", "EROFS"], 6))
def test_a_training_works_if_folders_cannot_be_synced(
    error: str, train: Run, tmp_path: Path
) -> None:
    done = train("run", faults=failing("fsync", error, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"WARNING: run: {NO_SYNC} ({os.strerror(getattr(errno, error))})")
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_a_training_works_in_a_folder_that_may_not_be_read(run: Run, config: Path) -> None:
    Path(config.parent, "runs").mkdir(mode=0o333)
    train = [*MLP, "train", config, "--out", "runs/a", "--quiet"]
    done = run(*train, before=without_root)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"WARNING: runs: {NO_SYNC} (Permission denied)")


@pytest.mark.long
@pytest.mark.parametrize("error", few(["EIO", "ENOSPC", "EDQUOT"], 3))
def test_a_file_that_cannot_be_synced_because_data_are_lost_is_an_error(
    error: str, train: Run, run: Run, config: Path, tmp_path: Path
) -> None:
    assert train("run").returncode == 0
    kept = (tmp_path / "run" / "env.json").read_bytes()
    longer = [*MLP, "train", config, "--out", "run", "--resume", "--set", "training.epochs=4"]
    done = run(*longer, faults=failing("fsync", error))
    assert (done.returncode, done.stdout) == (7, "")
    assert remedy(OSError(getattr(errno, error), "")) in done.stderr
    assert (tmp_path / "run" / "env.json").read_bytes() == kept
    assert run(*longer).returncode == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "error", few(["ENODEV", "EPERM", "EACCES", "EINVAL", "ENOSYS", "EAGAIN"], 6)
)
def test_files_that_cannot_be_mapped_are_read(
    error: str, train: Run, run: Run, tmp_path: Path
) -> None:
    faults = failing("mmap", error, *tmp_path.glob("own-*/*"))
    done = train("run", faults=faults)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("WARNING: ") == done.stderr.count("\n") == 1
    assert "the file system cannot map files into memory" in done.stderr
    assert train("other").returncode == 0
    assert_same_run(tmp_path / "run", tmp_path / "other")
    scores = [run(*MLP, "eval", "run", "--json", faults=each) for each in (faults, ())]
    assert scores[0].stderr.count("WARNING: ") == 1
    assert scores[0].stdout == scores[1].stdout


@pytest.mark.long
@pytest.mark.parametrize(
    "error", few(["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL", "EBADF", "EIO"], 6)
)
def test_a_training_works_without_locks_and_says_so(error: str, train: Run) -> None:
    done = train("run", faults=failing("flock", error))
    assert done.returncode == 0, done.stderr
    reason = os.strerror(getattr(errno, error))
    assert done.stderr == (
        f"WARNING: run: the file system has no locks ({reason}). Do not train one run in two "
        "processes at once.\n"
    )


@pytest.mark.long
def test_from_python_the_lack_is_a_warning_of_python(run: Run, config: Path) -> None:
    code = (
        "import warnings, mlp_cli\n"
        "from mlp_cli.errors import StorageWarning\n"
        "with warnings.catch_warnings(record=True) as shown:\n"
        "    warnings.simplefilter('always')\n"
        f"    mlp_cli.train({str(config)!r}, out='run', kernels='numpy')\n"
        "assert {each.category for each in shown} == {StorageWarning}, shown\n"
        "print(shown[0].message.path)"
    )
    done = run(sys.executable, "-c", code, faults=failing("fsync", "ENOSYS"))
    assert (done.returncode, done.stdout) == (0, ".\n"), done.stderr


@pytest.mark.long
@pytest.mark.parametrize("error", few(["EPERM", "ENOSYS"], 2))
def test_a_training_works_if_its_cores_may_not_be_asked(error: str, train: Run) -> None:
    done = train("run", faults=failing("sched_getaffinity", error))
    assert (done.returncode, done.stderr) == (0, "")


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@pytest.mark.long
@pytest.mark.parametrize(
    ("out", "before", "words"),
    [
        ("README.md", None, "Not a directory. A file stands where a folder is needed."),
        ("README.md/run", None, "Not a directory. A file stands where a folder is needed."),
        ("x" * 300, None, "File name too long. Choose a shorter name."),
        ("loop", None, "A symbolic link leads back to itself."),
        ("locked/run", without_root, "Permission denied. Change the permissions"),
        ("hidden/run", without_root, "Permission denied. Change the permissions"),
        ("run", small_files, "File too large. Raise the limit on the size of a file"),
        ("/proc/run", None, "Check that the folder is there and that the name is right."),
    ],
)
def test_a_message_names_the_remedy(
    out: str, before: Callable[[], object] | None, words: str, train: Run, tmp_path: Path
) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "locked").mkdir(mode=0o555)
    (tmp_path / "hidden").mkdir(mode=0o000)
    done = train(out, before=before)
    assert done.returncode == 7
    assert words in done.stderr
    assert "free space" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_a_run_that_may_not_be_seen_is_not_called_missing(train: Run, run: Run) -> None:
    assert train("above/run").returncode == 0
    for arguments in (["eval", "above/run"], ["eval", "above/run/best.npz"]):
        lock = ["sh", "-c", 'chmod 000 above; "$@"; code=$?; chmod 755 above; exit $code', "sh"]
        done = run(*lock, *MLP, *arguments, before=without_root)
        assert done.returncode == 7, done.stderr
        assert done.stderr.endswith(
            "Permission denied. Change the permissions, or choose another place.\n"
        )


def test_a_full_disk_is_told_from_other_faults(run: Run) -> None:
    done = run("sh", "-c", '"$@" >/dev/full', "sh", *MLP, "config", "list")
    assert done.returncode == 7
    assert "No space left on device. Free some space there" in done.stderr


@pytest.mark.long
def test_a_folder_that_cannot_be_looked_up_is_one_message(train: Run, tmp_path: Path) -> None:
    done = train(tmp_path / "run", faults=failing("newfstatat", "EPERM", tmp_path / "run"))
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert remedy(OSError(errno.EPERM, "")) in done.stderr


def test_a_file_without_positions_has_the_remedy_of_its_file_system() -> None:
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read, "rb") as file, pytest.raises(OSError, match="not seekable") as caught:
        file.seek(0)
    assert remedy(caught.value) == remedy(OSError(errno.ESPIPE, ""))


def test_every_error_has_a_remedy() -> None:
    for code in errno.errorcode:
        assert remedy(OSError(code, os.strerror(code))).endswith(".")
