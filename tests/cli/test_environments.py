"""Unusual environments for whole processes: streams, limits, clocks, caches."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers.kept_kernels import copy_kernels
from helpers.privileges import without_root
from helpers.proofs import Proof
from helpers.quick_training import FILES, ROOT, Train

NEVER = ("HOME", "TERM", "LANG", "LC_ALL", "TZ", "COLUMNS", "NO_COLOR")


def close(*descriptors: int) -> Callable[[], None]:
    return lambda: [os.close(descriptor) for descriptor in descriptors] and None


def limit(kind: int, amount: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (amount, amount))


NO_UTF8 = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENVIRONMENTS: list[tuple[str, dict[str, Any]]] = [
    ("nothing", {"environ": dict.fromkeys(NEVER)}),
    ("a HOME that does not exist", {"environ": {"HOME": "/nowhere"}}),
    ("HOME read-only", {"environ": {"HOME": "/proc"}, "before": without_root}),
    ("TERM=dumb", {"environ": {"TERM": "dumb"}}),
    ("NO_COLOR", {"environ": {"NO_COLOR": "1"}}),
    ("FORCE_COLOR", {"environ": {"FORCE_COLOR": "1"}}),
    ("a terminal of one column", {"environ": {"COLUMNS": "1", "LINES": "1"}}),
    ("LC_ALL=C", {"environ": {"LC_ALL": "C"}}),
    (
        "C without UTF-8",
        {"environ": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}},
    ),
    ("an unknown locale", {"environ": {"LC_ALL": "xx_YY.UTF-8"}}),
    ("ASCII streams", {"environ": {"PYTHONIOENCODING": "ascii:strict"}}),
    ("Latin-1 streams", {"environ": {"PYTHONIOENCODING": "latin-1:strict"}}),
    ("strict UTF-8 streams", {"environ": {"PYTHONIOENCODING": "utf-8:strict"}}),
    ("python -O", {"python": ["-O"]}),
    ("python -OO", {"python": ["-OO"]}),
    ("python -X dev", {"python": ["-W", "error", "-X", "dev"]}),
    ("no bytecode", {"environ": {"PYTHONDONTWRITEBYTECODE": "1"}}),
    ("hash seeds", {"environ": {"PYTHONHASHSEED": "7"}}),
    ("stdin closed", {"before": close(0)}),
    ("stdout closed", {"before": close(1)}),
    ("stderr closed", {"before": close(2)}),
    ("all three closed", {"before": close(0, 1, 2)}),
    ("16 open files", {"before": limit(resource.RLIMIT_NOFILE, 16)}),
    ("512 MB", {"before": limit(resource.RLIMIT_AS, 512 * 2**20)}),
    ("a small stack", {"before": limit(resource.RLIMIT_STACK, 2**20)}),
    ("one core", {"before": lambda: os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])}),
    ("no core dumps", {"before": limit(resource.RLIMIT_CORE, 0)}),
    ("idle priority", {"before": lambda: os.nice(19)}),
]


@pytest.mark.long
@pytest.mark.proof("E1, E2 environments in which it works")
def test_a_training_works_in_unusual_environments(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    results = []
    for number, (name, options) in enumerate(proof.points(ENVIRONMENTS, quick=10)):
        done = train("--out", f"run{number}", **options)
        assert done.returncode == 0, (name, done.stderr)
        assert not done.stderr, name
        if "closed" not in name:
            assert done.stdout.splitlines()[-1] == f"run{number}".encode(), name
        run = tmp_path / f"run{number}"
        assert {entry.name for entry in run.iterdir()} == FILES, name
        result = json.loads((run / "result.json").read_text())
        results.append({key: value for key, value in result.items() if "second" not in key})
        assert results[-1] == results[0], name


SMALL, LARGER = (limit(resource.RLIMIT_AS, 2**power) for power in (29, 30))
BATCH = ["training.batch_size=1000000", "data.path=null", "data.dataset=synthetic"]
LIMITS: list[tuple[str, list[str], Callable[[], object], bytes]] = [
    ("memory for weights", ["model.hidden=[9000, 9000]"], SMALL, b"a smaller model.hidden"),
    ("memory for layers", ["model.hidden=[65536, 65536]"], LARGER, b"a smaller model.hidden"),
    ("memory for a batch", ["model.hidden=[65536]", *BATCH], LARGER, b"training.batch_size"),
    ("memory for threads", [], SMALL, b"1024 threads: can't start new thread. Give fewer"),
]


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.proof("E2 a machine that is too small")
def test_too_little_memory_or_too_many_threads_is_one_message(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    for name, changes, before, words in proof.points(LIMITS, quick=2):
        arguments = [word for change in changes for word in ("--set", change)]
        if not changes:
            arguments = ["--threads", "1024"]
        # To look for compiled kernels would need more memory.
        environ = {"MLP_KERNELS": "numpy"}
        done = train(*arguments, "--out", name, before=before, environ=environ)
        assert done.returncode == 2, (name, done.stderr[-400:])
        assert done.stderr.startswith(b"Error: "), name
        assert done.stderr.count(b"\n") == 1, (name, done.stderr)
        assert words in done.stderr, (name, done.stderr)


JUMPS = """
import random, time
true, jump = time.time, random.Random({seed})
time.time = lambda: true() + jump.choice([-1, 0, 1]) * jump.random() * 366 * 86_400
time.time_ns = lambda: int(1e9 * time.time())
"""
# If libfaketime is installed, it also changes the times that the C library gives.
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
CLOCKS: list[tuple[str, dict[str, str | None]]] = [
    ("up to a year back or ahead at each reading", {"JUMPS": "1"}),
    ("the same, with another seed", {"JUMPS": "2", "TZ": None}),
    ("no time zone", {"TZ": None}),
    ("a time zone with summer time", {"TZ": "Europe/Berlin"}),
    ("an unknown time zone", {"TZ": "Nowhere/Never"}),
    ("a time zone a day ahead", {"TZ": "XXX-24"}),
    ("SOURCE_DATE_EPOCH", {"SOURCE_DATE_EPOCH": "0"}),
    ("an invalid SOURCE_DATE_EPOCH", {"SOURCE_DATE_EPOCH": "never"}),
    ("a year ago, and running backwards", {"FAKETIME": "-1y x-10"}),
    ("a year ahead, and running fast", {"FAKETIME": "+1y x1000"}),
    ("before 1970", {"FAKETIME": "1969-12-31 23:59:59"}),
]


@pytest.mark.long
@pytest.mark.proof("T1 a clock that jumps")
def test_a_training_measures_right_times_if_the_clock_jumps(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    clocks = [(name, clock) for name, clock in CLOCKS if FAKETIME or "FAKETIME" not in clock]
    for number, (name, clock) in enumerate(proof.points(clocks, quick=3)):
        environ = dict(clock)
        if "JUMPS" in clock:
            (tmp_path / name).mkdir()
            (tmp_path / name / "sitecustomize.py").write_text(JUMPS.format(seed=clock["JUMPS"]))
            environ["PYTHONPATH"] = f"{tmp_path / name}:{ROOT}"
        if "FAKETIME" in clock:
            environ |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        done = train(environ=environ)
        assert done.returncode == 0, (name, done.stderr)
        run = tmp_path / os.fsdecode(done.stdout.splitlines()[-1])
        assert run == tmp_path / "runs" / f"c-{number + 1}"
        epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        result = json.loads((run / "result.json").read_text())
        for entry in (*epochs, result):
            assert 0 < entry["seconds"] < 100, name
            assert 0 < entry["samples_per_second"] < 1e9, name
        assert sum(entry["seconds"] for entry in epochs) <= result["seconds"]


COMPILING = b"WARNING: the kernels must be compiled."
needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")


@pytest.mark.nightly
@needs_numba
def test_compiled_kernels_work_if_only_temporary_files_can_be_written(
    train: Train, tmp_path: Path
) -> None:
    package = tmp_path / "site" / "mlp_cli"
    shutil.copytree(ROOT / "mlp_cli", package, ignore=shutil.ignore_patterns("__pycache__"))
    folders = [package, *(path for path in package.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    environ = {"PYTHONPATH": str(package.parent), "HOME": "/proc", "XDG_CACHE_HOME": None}
    environ |= {"TMPDIR": str(tmp_path), "MLP_KERNELS": "fast"}
    done = train("--out", "run", environ=environ, before=without_root)
    again = train("--out", "run", "--overwrite", environ=environ, before=without_root)
    for folder in folders:
        folder.chmod(0o755)
    assert (done.returncode, done.stderr.count(b"\n")) == (0, 1)
    assert done.stderr.startswith(COMPILING)
    assert (again.returncode, again.stderr) == (0, b"")
    assert json.loads((tmp_path / "run" / "env.json").read_text())["kernels"].startswith("numba")
    assert not list(package.rglob("__pycache__"))


@pytest.mark.nightly
@needs_numba
@pytest.mark.proof("E3 a cache of compiled kernels that a crash damaged")
def test_a_damaged_cache_of_compiled_kernels_is_made_again(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    environ = {"NUMBA_CACHE_DIR": str(tmp_path / "kept"), "MLP_KERNELS": "fast"}
    small = limit(resource.RLIMIT_FSIZE, 100_000)
    assert train("--out", "run", environ=environ, before=small).returncode == 0  # as on a full disk
    assert not list(tmp_path.glob("kept/*/*"))
    copy_kernels(tmp_path / "kept", "float32")
    assert train("--out", "run", "--overwrite", environ=environ).stderr == b""
    # Cut to a share of the file, or with zeros in place of the rest if the sign is negative.
    damages = [0.0, 0.3, 0.9, -0.0, -0.5]
    for share in proof.points(damages if proof.long else damages[:1], quick=1):
        (file,) = tmp_path.glob("kept/*/*")
        whole = file.read_bytes()
        kept = whole[: int(abs(share) * len(whole))]
        file.write_bytes(kept if str(share)[0] != "-" else kept + bytes(len(whole) - len(kept)))
        done = train("--out", "run", "--overwrite", environ=environ)
        assert (done.returncode, done.stderr.count(b"\n")) == (0, 1), share
        assert done.stderr.startswith(COMPILING)
        (file,) = tmp_path.glob("kept/*/*")
        assert len(file.read_bytes()) > 0.9 * len(whole)
