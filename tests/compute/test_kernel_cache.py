"""The cache of compiled code, with a small function in place of the kernels."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("numba") is None:
    pytest.skip("needs the extra `fast`", allow_module_level=True)

from mlp_cli.compute.fast.interpreter import _version
from mlp_cli.compute.fast.interpreter import cache as kernel_cache

ROOT = Path(__file__).parents[2]

# Compiling it takes SLOW seconds more, and is written down in the file `compiled`.
MODULE = """
import os, sys, time
import numba
from numba.extending import overload
from mlp_cli.compute.fast import cache as c

BEFORE

def slow(x): ...

@overload(slow)
def _slow(x):
    with open("compiled", "a") as file:
        file.write("x")
    time.sleep(float(os.environ.get("SLOW", 0)))
    return lambda x: x + VERSION

def function(x):
    return slow(x)

function.__qualname__ = "function-VERSION"
jitted = numba.njit(function)
cache = c.KernelCache(jitted)

def show(kind):
    return lambda text: print(kind, text, flush=True)

with cache.reporting(show("WARNING"), show("LOG")):
    print("RESULT", jitted(1))
"""

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., list[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that calls the function; Numba may be kept from all folders it would use."""
    package, started = tmp_path / "package", []
    package.mkdir()

    def begin(
        before: str = "", version: int = 1, read_only: bool = False, **environ: str
    ) -> subprocess.Popen[str]:
        module = package / "small.py"
        text = MODULE.replace("BEFORE", before).replace("VERSION", str(version))
        if not module.exists() or module.read_text() != text:  # older Numba compares its time
            module.write_text(text)
        if read_only:
            package.chmod(0o555)
            environ = {"HOME": "/proc", "XDG_CACHE_HOME": "/proc", **environ}
        process = subprocess.Popen(
            [sys.executable, "-B", "-W", "error", module],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": "", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=without_root if read_only else None,
        )
        started.append(process)
        return process

    yield begin
    package.chmod(0o755)
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start: Start) -> Run:
    """Call the function in a process, and return the lines of its output."""

    def finish(**options: object) -> list[str]:
        out, _ = start(**options).communicate(timeout=60)
        return out.splitlines()

    return finish


def without_root() -> None:
    """Give up the capabilities by which root ignores permissions."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, from the next exec on
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def times_compiled(folder: Path) -> int:
    return len((folder / "compiled").read_text())


def is_announced(line: str) -> bool:
    return line.startswith("WARNING the kernels must be compiled. This takes about half a minute")


def test_compiling_is_announced_before_and_reported_after_and_then_not_repeated(
    run: Run, tmp_path: Path
) -> None:
    announced, reported, result = run()
    assert is_announced(announced)
    assert "once on a machine. MLP_KERNELS=numpy does without them." in announced
    assert re.match(r"LOG Compiled the kernels in \d+ s, and kept them in ", reported)
    assert reported.endswith(f"{tmp_path / 'package' / '__pycache__'}.")
    assert result == "RESULT 2"
    assert run() == ["RESULT 2"]
    assert times_compiled(tmp_path) == 1


def test_processes_that_start_together_compile_once(start: Start, tmp_path: Path) -> None:
    outputs = [
        process.communicate(timeout=60)[0].splitlines()
        for process in [start(SLOW="3") for _ in range(4)]
    ]
    assert times_compiled(tmp_path) == 1
    assert all(lines[-1] == "RESULT 2" for lines in outputs)
    waited = [lines for lines in outputs if not is_announced(lines[0])]
    waiting = "WARNING another process is compiling the kernels. Waiting for it."
    assert waited == [[waiting, "RESULT 2"]] * 3


def test_if_the_process_that_compiles_is_killed_the_next_compiles(
    start: Start, tmp_path: Path
) -> None:
    first = start(SLOW="60")
    assert first.stdout is not None and is_announced(first.stdout.readline())
    second = start()
    assert second.stdout is not None and "Waiting for it" in second.stdout.readline()
    first.kill()
    lines = second.communicate(timeout=30)[0].splitlines()
    assert is_announced(lines[0])
    assert lines[-1] == "RESULT 2"
    assert times_compiled(tmp_path) == 2


@pytest.mark.parametrize(
    "before",
    [
        "import fcntl\ndef none(*_): raise OSError(37, 'No locks available')\nfcntl.flock = none",
        "c.LONGEST_WAIT = 0.5",
    ],
    ids=["no locks", "a wait that is too long"],
)
def test_without_the_lock_a_process_compiles_for_itself(
    before: str, start: Start, run: Run, tmp_path: Path
) -> None:
    first = start(SLOW="60")
    assert first.stdout is not None and is_announced(first.stdout.readline())
    assert run(before=before)[-1] == "RESULT 2"
    assert first.poll() is None


def test_code_that_cannot_be_written_is_used_and_the_reason_is_shown(
    run: Run, tmp_path: Path
) -> None:
    before = f"import resource\nresource.setrlimit({resource.RLIMIT_FSIZE}, (1000, 1000))"
    announced, warned, reported, result = run(before=before)
    assert is_announced(announced)
    assert warned.startswith("WARNING the compiled kernels cannot be kept in ")
    assert "File too large" in warned and "NUMBA_CACHE_DIR" in warned
    assert re.fullmatch(r"LOG Compiled the kernels in \d+ s\.", reported)
    assert result == "RESULT 2"


@pytest.mark.parametrize("damage", [b"", b"\0" * 500, b"\x80\x04\x95", b"cos\nnothing\n."])
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_damaged_files_are_made_again(suffix: str, damage: bytes, run: Run, tmp_path: Path) -> None:
    run()
    (file,) = tmp_path.glob(f"package/__pycache__/*.{suffix}")
    file.write_bytes(damage)
    assert run()[-1] == "RESULT 2"
    assert run() == ["RESULT 2"]


def test_a_process_that_can_load_nothing_leaves_whole_files(run: Run, start: Start) -> None:
    fail = (
        "if 'FAIL' in os.environ:\n"
        "    import pickle\n"
        "    pickle.loads = lambda data: int('as of an import that a variable spoils')"
    )
    run(before=fail)
    process = start(before=fail, FAIL="1", SLOW="60")
    assert process.stdout is not None and is_announced(process.stdout.readline())
    process.kill()
    assert run(before=fail) == ["RESULT 2"]


def test_files_that_cannot_be_read_stay(run: Run, tmp_path: Path) -> None:
    run()
    kept = list((tmp_path / "package" / "__pycache__").iterdir())
    for file in kept:
        file.chmod(0)
    announced, warned, _, result = run(read_only=True)
    assert is_announced(announced)
    assert "cannot be kept" in warned and "Permission denied" in warned
    assert result == "RESULT 2"
    for file in kept:
        file.chmod(0o600)
    assert run() == ["RESULT 2"]


def test_a_kill_between_the_index_and_the_code_leaves_no_code_of_another_version(run: Run) -> None:
    die = (
        "if 'DIE' in os.environ:\n"
        "    from numba.core.caching import IndexDataCacheFile\n"
        "    IndexDataCacheFile._save_data = lambda *_: os._exit(9)"
    )
    assert run(version=1, before=die)[-1] == "RESULT 2"
    assert is_announced(run(version=5, before=die, DIE="1")[0])
    assert run(version=5, before=die)[-1] == "RESULT 6"


def test_the_files_of_the_kernels_are_named_by_their_version() -> None:
    assert f"{_version():x}" in kernel_cache._files._impl.filename_base


def test_if_numba_finds_no_folder_a_private_one_is_used(run: Run, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    announced, reported, result = run(read_only=True, TMPDIR=str(temporary))
    (folder,) = temporary.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert is_announced(announced) and "once on a machine" in announced
    assert f"kept them in {folder}" in reported
    assert result == "RESULT 2"
    assert run(read_only=True, TMPDIR=str(temporary)) == ["RESULT 2"]


def test_if_no_folder_can_be_written_the_announcement_says_so(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        announced, reported, result = run(
            read_only=True, before="c.private_folder = lambda parent: None"
        )
        assert is_announced(announced)
        assert "each time, because no folder can be written" in announced
        assert "NUMBA_CACHE_DIR" in announced
        assert re.fullmatch(r"LOG Compiled the kernels in \d+ s\.", reported)
        assert result == "RESULT 2"


def test_code_that_numba_does_not_optimise_is_not_kept_and_the_announcement_says_so(
    run: Run,
) -> None:
    for _ in range(2):
        announced, reported, result = run(NUMBA_OPT="0")
        assert is_announced(announced)
        assert "each time, because they cannot be kept with NUMBA_OPT=0" in announced
        assert re.fullmatch(r"LOG Compiled the kernels in \d+ s\.", reported)
        assert result == "RESULT 2"


def test_code_that_cannot_be_kept_is_ready_in_the_process_that_compiled_it(run: Run) -> None:
    ask = "atexit.register(lambda: print('READY', cache.is_ready((numba.typeof(1),))))"
    before = f"import atexit\n{ask}\nc.private_folder = lambda parent: None"
    assert run(read_only=True, before=before)[-2:] == ["RESULT 2", "READY True"]


@pytest.mark.parametrize("named", ["a file", "a folder without rights"])
def test_a_cache_folder_of_the_users_that_cannot_be_used_is_passed_over(
    named: str, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "named"
    if named == "a file":
        folder.touch()
    else:
        folder.mkdir(mode=0o500)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    lines = run(read_only=True, NUMBA_CACHE_DIR=str(folder), TMPDIR=str(temporary))
    assert lines[-1] == "RESULT 2"
    assert list(temporary.iterdir())
