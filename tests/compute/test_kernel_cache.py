"""The cache of compiled code, with a small function in place of the kernels."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("llvmlite", reason="needs the extra `fast`")

ROOT = Path(__file__).parents[2]

# Compiling it takes SLOW seconds more, and is written down in the file `compiled`. It adds VERSION
# to its second argument, and calls `show`.
MODULE = '''
import ctypes, os, sys, time
from pathlib import Path
import llvmlite.binding as llvm
from mlp_cli.compute.fast import cache as c, folder, machine_code

BEFORE

ASSEMBLY = """
declare void @show(i64)
define void @function(i64 %lines, i64 %n, i64 %constants, i64 %like) {
    %sum = add i64 %n, VERSION
    call void @show(i64 %sum)
    ret void
}
"""

def load_compiler():
    return compile_function

def compile_function():
    with open("compiled", "a") as file:
        file.write("x")
    time.sleep(float(os.environ.get("SLOW", 0)))
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    module = llvm.parse_assembly(ASSEMBLY)
    module.data_layout = str(machine.target_data)
    return machine_code.MachineCode("function", ["show"], machine.emit_object(module))

def tell(kind):
    return lambda text: print(kind, text, flush=True)

show = ctypes.CFUNCTYPE(None, ctypes.c_int64)(tell("RESULT"))
functions = {"show": ctypes.cast(show, ctypes.c_void_p).value}
found = folder.find_folder(Path(__file__).parent)
cache = c.KernelCache("function-VERSION.bin", found, functions, load_compiler)
cache.load(tell("WARNING"), tell("LOG"))(0, 1, 0, 0)
'''

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., list[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that calls the function; it may be kept from all usual folders."""
    package, started = tmp_path / "package", []
    package.mkdir()

    def begin(
        before: str = "", version: int = 1, read_only: bool = False, **environ: str
    ) -> subprocess.Popen[str]:
        module = package / "small.py"
        text = MODULE.replace("BEFORE", before).replace("VERSION", str(version))
        if not module.exists() or module.read_text() != text:
            module.write_text(text)  # never below a process that may be about to read it
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
    before = f"import resource\nresource.setrlimit({resource.RLIMIT_FSIZE}, (100, 100))"
    announced, warned, reported, result = run(before=before)
    assert is_announced(announced)
    assert warned.startswith("WARNING the compiled kernels cannot be kept in ")
    assert "File too large" in warned and "NUMBA_CACHE_DIR" in warned
    assert re.fullmatch(r"LOG Compiled the kernels in \d+ s\.", reported)
    assert result == "RESULT 2"


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros in it", "one bit", "of another name"])
def test_damaged_files_are_made_again(damage: str, run: Run, tmp_path: Path) -> None:
    run(version=5)
    (other,) = tmp_path.glob("package/__pycache__/*.bin")
    of_another_name = other.read_bytes()
    other.unlink()
    run()
    (file,) = tmp_path.glob("package/__pycache__/*.bin")
    whole = file.read_bytes()
    file.write_bytes(
        {
            "empty": b"",
            "cut": whole[:-1],
            "zeros in it": whole[:100] + bytes(len(whole) - 100),
            "one bit": whole[:-1] + bytes([whole[-1] ^ 1]),
            "of another name": of_another_name,
        }[damage]
    )
    assert run()[-1] == "RESULT 2"
    assert file.read_bytes() == whole
    assert run() == ["RESULT 2"]


def test_a_process_that_can_load_nothing_leaves_whole_files(run: Run, start: Start) -> None:
    fail = (
        "if 'FAIL' in os.environ:\n    machine_code.unpack = c.unpack = lambda name, packed: None"
    )
    run(before=fail)
    process = start(before=fail, FAIL="1", SLOW="60")
    assert process.stdout is not None and is_announced(process.stdout.readline())
    process.kill()
    assert run(before=fail) == ["RESULT 2"]


def test_files_that_cannot_be_read_stay(run: Run, tmp_path: Path) -> None:
    run()
    kept = list((tmp_path / "package" / "__pycache__").glob("*.bin"))
    assert kept
    for file in kept:
        file.chmod(0)
    announced, warned, _, result = run(read_only=True)
    assert is_announced(announced)
    assert "cannot be kept" in warned and "Permission denied" in warned
    assert result == "RESULT 2"
    for file in kept:
        file.chmod(0o600)
    assert run() == ["RESULT 2"]


def test_a_kill_before_the_file_is_whole_leaves_none(run: Run, tmp_path: Path) -> None:
    assert is_announced(run(before="os.fsync = lambda descriptor: os._exit(9)")[0])
    assert not list(tmp_path.glob("package/__pycache__/*.bin"))
    assert run()[-1] == "RESULT 2"
    assert run() == ["RESULT 2"]


def test_if_there_is_no_other_folder_a_private_one_is_used(run: Run, tmp_path: Path) -> None:
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
            read_only=True, before="folder.private_folder = lambda parent: None"
        )
        assert is_announced(announced)
        assert "each time, because no folder can be written" in announced
        assert "NUMBA_CACHE_DIR" in announced
        assert re.fullmatch(r"LOG Compiled the kernels in \d+ s\.", reported)
        assert result == "RESULT 2"


def test_code_that_cannot_be_kept_is_ready_in_the_process_that_compiled_it(run: Run) -> None:
    ask = "atexit.register(lambda: print('READY', cache.is_ready()))"
    before = f"import atexit\n{ask}\nfolder.private_folder = lambda parent: None"
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
