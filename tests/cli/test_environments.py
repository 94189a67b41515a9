"""Unusual environments for whole processes: streams, paths, limits, clocks, permissions, data."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import idx
from helpers.privileges import without_root
from helpers.proofs import Proof

ROOT = Path(__file__).parents[2]
FILES = {"config.yaml", "metrics.jsonl", "best.npz", "last.npz", "result.json", "env.json"}
NEVER = ("HOME", "TERM", "LANG", "LC_ALL", "TZ", "COLUMNS", "NO_COLOR")

Train = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def config(tmp_path: Path, own_images: Callable[..., Path]) -> Path:
    """Return a configuration that trains quickly."""
    path = tmp_path / "c.yaml"
    path.write_text(
        f"data: {{path: {own_images(train=200)}, validation: 50}}\nmodel: {{hidden: [8]}}\n"
        "training: {epochs: 2, batch_size: 32}\n"
    )
    return path


@pytest.fixture
def train(tmp_path: Path, config: Path) -> Train:
    """Return a function that runs `mlp train --quiet` with warnings as errors."""

    def run(
        *arguments: object,
        environ: dict[str, str | None] | None = None,
        python: Sequence[str] = ("-W", "error"),
        before: Callable[[], object] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
        given = [] if "--config" in arguments else ["--config", config]
        command = [sys.executable, *python, "-m", "mlp_cli", "train", *given, "--quiet"]
        return subprocess.run(
            [*command, *map(os.fsencode, map(str, arguments))],
            env={name: value for name, value in environment.items() if value is not None},
            preexec_fn=before,
            **{"cwd": tmp_path, "stdout": -1, "stderr": -1, "timeout": 120, **options},
            check=False,
        )

    return run


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
@pytest.mark.serial
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


PATHS = ["a b", "é", "日本😀", "$(id)'\"`", "-x", "new\nline", "tab\t", "%s{}", "x" * 200]
PATHS += ["\udcff\udc80"]  # bytes that are not UTF-8


@pytest.mark.long
@pytest.mark.proof("E1 a path with unusual characters")
def test_paths_with_unusual_characters_work(
    proof: Proof, train: Train, config: Path, tmp_path: Path
) -> None:
    for name in proof.points(PATHS, quick=2):
        folder = tmp_path / f"in {name}"
        folder.mkdir()
        shutil.copy(config, folder / f"{name}.yaml")
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
        done = train(*arguments, "--out", name, before=before)
        assert done.returncode == 2, (name, done.stderr[-400:])
        assert done.stderr.startswith(b"Error: "), name
        assert done.stderr.count(b"\n") == 1, (name, done.stderr)
        assert words in done.stderr, (name, done.stderr)


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


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in folder.rglob("*")
    }


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


@pytest.mark.long
@pytest.mark.serial
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
@pytest.mark.serial
@pytest.mark.proof("R2 trainings that start in the same second")
def test_trainings_that_start_at_once_get_folders_of_their_own(
    proof: Proof, config: Path, tmp_path: Path
) -> None:
    many = 64 if proof.long else 4
    for _ in proof.trials(quick=1, long=1):
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "mlp_cli", "train", "--config", config, "--quiet"],
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


def images(folder: Path, train: int, test: int, classes: int, ink: int | None = None) -> Path:
    """Write a few images of noise, or of one grey."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, n in (("train", train), ("t10k", test)):
        pixels = generator.integers(0, 256, (n, 8, 8)) if ink is None else np.full((n, 8, 8), ink)
        labels = np.arange(n) % classes
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(pixels.astype(np.uint8)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels.astype(np.uint8)))
    return folder


LONG = ["training.epochs=100"]
# Images (training, test, classes, grey), held-out images, changes, and the steps or words expected.
SIZES: list[tuple[tuple[int, ...], int, list[str], int | bytes]] = [
    ((50, 9, 3), 10, ["training.batch_size=1000000"], 2),
    ((50, 9, 3), 10, ["training.batch_size=40"], 2),
    ((50, 9, 3), 10, ["training.batch_size=39"], 4),
    ((50, 9, 3), 10, ["training.batch_size=1"], 80),
    ((50, 9, 3), 10, ["training.batch_size=7", "optimizer.name=adam"], 12),
    ((50, 9, 3), 49, ["training.batch_size=7"], 2),
    ((50, 9, 3), 50, [], b"data.validation: cannot hold out 50 images"),
    ((50, 9, 3), 10, ["training.epochs=0"], b"training.epochs: found 0; must be"),
    ((20, 5, 1), 5, [], 2),
    ((20, 5, 1), 5, ["loss=mse", "optimizer.name=rmsprop"], 2),
    ((1, 1, 1), 0, [], 2),
    ((1, 1, 1), 1, [], b"data.validation: cannot hold out 1 images"),
    ((2, 1, 2), 1, ["model.hidden=[]"], 2),
    ((0, 1, 1), 0, [], b"is empty"),
    ((1, 0, 1), 0, [], b"is empty"),
    ((50, 9, 3, 0), 10, ["data.scaling=standard"], 4),
    ((50, 9, 3, 255), 10, ["data.scaling=standard"], 4),
    ((50, 9, 3), 10, ["optimizer.learning_rate=1e-45"], 4),
    ((50, 9, 3), 10, ["training.dtype=float64", "optimizer.learning_rate=5e-324"], 4),
    ((50, 9, 3), 10, ["optimizer.learning_rate=0.9", "optimizer.weight_decay=1", *LONG], 200),
    ((50, 9, 3, 0), 10, ["optimizer={name: adam, epsilon: 1e-30, learning_rate: 1e-40}"], 4),
    ((50, 9, 3, 0), 10, ["optimizer={name: rmsprop, epsilon: 1e-30, rho: 0}"], 4),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.proof("N2 few images, unusual batches, tiny numbers")
def test_unusual_sizes_train_or_are_refused_by_one_message(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    for number, (data, held_out, changes, expected) in enumerate(proof.points(SIZES, quick=8)):
        folder = images(tmp_path / f"images{number}", *data)
        settings = [f"data.path={folder}", f"data.validation={held_out}", *changes]
        done = train(*(word for each in settings for word in ("--set", each)), "--out", number)
        if isinstance(expected, bytes):
            assert done.returncode in (2, 3)
            assert expected in done.stderr
            assert done.stderr.count(b"\n") == 1
            continue
        assert done.returncode == 0, (changes, done.stderr)
        lines = (tmp_path / str(number) / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] == expected
        with np.load(tmp_path / str(number) / "best.npz") as archive:
            weights = [archive[name] for name in archive.files if name.startswith("layers")]
        assert all(np.isfinite(array).all() for array in weights)


needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")


@needs_numba
def test_compiled_kernels_work_without_a_folder_for_their_cache(
    train: Train, tmp_path: Path
) -> None:
    package = tmp_path / "site" / "mlp_cli"
    shutil.copytree(ROOT / "mlp_cli", package, ignore=shutil.ignore_patterns("__pycache__"))
    folders = [package, *(path for path in package.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    environ = {"PYTHONPATH": str(package.parent), "HOME": "/proc", "XDG_CACHE_HOME": None}
    done = train("--out", "run", environ=environ, before=without_root)
    for folder in folders:
        folder.chmod(0o755)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads((tmp_path / "run" / "env.json").read_text())["kernels"].startswith("numba")
    assert not list(package.rglob("__pycache__"))


@needs_numba
@pytest.mark.proof("E3 a cache of compiled kernels that a crash damaged")
def test_a_damaged_cache_of_compiled_kernels_is_made_again(
    proof: Proof, train: Train, tmp_path: Path
) -> None:
    environ = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    small = limit(resource.RLIMIT_FSIZE, 100_000)
    assert train("--out", "run", environ=environ, before=small).returncode == 0  # as on a full disk
    assert not list(tmp_path.glob("kept/*/*.nbc"))
    assert train("--out", "run", "--overwrite", environ=environ).returncode == 0
    # Cut to a share of the file, or with zeros in place of the rest if the sign is negative.
    damages = [(kind, share) for kind in ("nbc", "nbi") for share in (0.0, 0.3, 0.9, -0.0, -0.5)]
    for kind, share in proof.points(damages if proof.long else damages[:1], quick=1):
        (file,) = tmp_path.glob(f"kept/*/*.{kind}")
        whole = file.read_bytes()
        kept = whole[: int(abs(share) * len(whole))]
        file.write_bytes(kept if str(share)[0] != "-" else kept + bytes(len(whole) - len(kept)))
        done = train("--out", "run", "--overwrite", environ=environ)
        assert (done.returncode, done.stderr) == (0, b""), (kind, share)
        (file,) = tmp_path.glob(f"kept/*/*.{kind}")
        assert len(file.read_bytes()) > 0.9 * len(whole)
