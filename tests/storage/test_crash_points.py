"""A fault at every system call that writes: the old file or the new one stays, and an error."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.proofs import Proof
from helpers.quick_training import ROOT
from helpers.servers import Server
from helpers.stand_ins import FILES, MLP, PACKED, RAW, serve_packed
from helpers.tracing import Call, Disk, touching, trace, with_fault

from mlp_cli.config.load import load_config
from mlp_cli.runs.folder import FILES as RUN_FILES
from mlp_cli.storage.checkpoint import load_checkpoint, save_checkpoint

ERRORS = ("error=ENOSPC", "error=EIO")
KILL, TERM = "signal=KILL", "signal=TERM"
PYTHON = [sys.executable, "-W", "error"]
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",  # so that all runs make the same calls
    "PYTHONHASHSEED": "0",
}


@dataclass
class Scene:
    """A command that writes into the folder `disk`, the content before, and its system calls."""

    name: str
    command: Sequence[object]
    root: Path
    before: Path | None = None

    def __post_init__(self) -> None:
        self.disk = self.root / "disk"
        self.calls = self.trace()
        self.now = self.points  # the same calls, with the numbers that they have at present
        self.after = self.root / f"{self.name} after"
        shutil.copytree(self.disk, self.after)

    @property
    def _log(self) -> Path:
        return self.root / "log"

    def reset(self) -> None:
        shutil.rmtree(self.disk, ignore_errors=True)
        if self.before is None:
            self.disk.mkdir()
        else:
            shutil.copytree(self.before, self.disk)

    def trace(self) -> list[Call]:
        self.reset()
        return trace(self.command, self.root, self._log, ENVIRON)

    @property
    def inside(self) -> list[Call]:
        """The calls that concern the folder."""
        return [c for c in self.calls if any(p.startswith(str(self.disk)) for p in c.paths)]

    @property
    def points(self) -> list[Call]:
        return touching(self.calls, self.disk)

    def run(self, call: Call, fault: str) -> subprocess.CompletedProcess[str]:
        """Run the command on the content before, with a fault at one of the points."""
        place = self.points.index(call)
        for _ in range(5):
            self.reset()
            point = self.now[place]
            done = with_fault(self.command, self.root, self._log, ENVIRON, point, fault)
            if done is not None:
                return done
            self.now = touching(self.trace(), self.disk)
        raise AssertionError(f"{call} was missed")

    def again(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, self.command)),
            cwd=self.root,
            env=ENVIRON,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def temporaries(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*.tmp")]


def is_survived(call: Call, fault: str) -> bool:
    """Whether the fault is that the file system cannot force a folder to disk."""
    return call.name == "fsync" and Path(call.paths[0]).is_dir() and fault == "error=EIO"


def assert_one_message(done: subprocess.CompletedProcess[str], code: int) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.count("Error: ") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# ---------------------------------------------------------------- a save

SAVE = """
import sys, numpy as np
from pathlib import Path
from mlp_cli.storage.checkpoint import save_checkpoint
from mlp_cli.errors import MlpError
path, arrays = Path("disk/last.npz"), {"layers.0.weight": np.full((20, 30), 2.0)}
try:
    WRITE
except (MlpError, OSError) as error:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(getattr(error, "exit_code", 7))
"""
NAIVE = "np.savez(path, **arrays, header='{}', digest='')"
SOUND = "save_checkpoint(path, arrays, {})"


def saving(root: Path, write: str = SOUND) -> Scene:
    before = root / "before"
    before.mkdir(parents=True)
    save_checkpoint(before / "last.npz", {"layers.0.weight": np.full((20, 30), 1.0)}, {})
    python = [*PYTHON, "-W", "default::UserWarning"]  # no command is there to show a warning
    return Scene("save", [*python, "-c", SAVE.replace("WRITE", write)], root, before)


def saved(folder: Path) -> float:
    """Return which save is there, 1 or 2, as the real reader reads it."""
    weights = load_checkpoint(folder / "last.npz").arrays["layers.0.weight"]
    assert weights.shape == (20, 30)
    assert (weights == weights[0, 0]).all()
    return float(weights[0, 0])


@pytest.mark.long
@pytest.mark.proof("C1 C3 each call of a save fails, or is the last")
def test_a_save_with_a_fault_at_any_call_leaves_the_old_or_the_new_file(
    proof: Proof, tmp_path: Path
) -> None:
    scene = saving(tmp_path)
    assert {call.name for call in scene.points} == {"openat", "write", "fsync", "rename"}
    faults = (*ERRORS, "error=EDQUOT", KILL)
    for call, fault in proof.points([(c, f) for f in faults for c in scene.points], quick=8):
        done = scene.run(call, fault)
        if fault == KILL:
            assert done.returncode == -signal.SIGKILL
            assert saved(scene.disk) in (1.0, 2.0)
        elif is_survived(call, fault):
            assert (done.returncode, saved(scene.disk)) == (0, 2.0)
            assert "StorageWarning: the file system cannot force changes to disk" in done.stderr
        else:
            assert_one_message(done, 7)
            assert "last.npz" in done.stderr
            renamed = call.paths == (str(scene.disk),)  # the fault is at the fsync of the folder
            assert saved(scene.disk) == (2.0 if renamed else 1.0)
            assert temporaries(scene.disk) == []
        assert scene.again().returncode == 0
        assert saved(scene.disk) == 2.0


@pytest.mark.long
def test_the_faults_reveal_a_save_that_writes_in_place(tmp_path: Path) -> None:
    scene = saving(tmp_path, NAIVE)
    broken, tried = 0, scene.points[1:]  # the first call opens the file and changes nothing
    for call in tried:
        scene.run(call, KILL)
        broken += not zipfile.is_zipfile(scene.disk / "last.npz")
    assert broken >= 0.9 * len(tried)


def test_a_disk_that_cannot_sync_folders_can_still_be_used(tmp_path: Path) -> None:
    scene = saving(tmp_path)
    assert scene.points[-1].name == "fsync"
    assert scene.run(scene.points[-1], "error=EINVAL").returncode == 0
    assert saved(scene.disk) == 2.0


# ---------------------------------------------------------------- a training


@pytest.fixture
def trainings(own_images: Callable[..., Path], tmp_path: Path) -> list[Scene]:
    """Return two scenes: the first epoch of a run, and its second one."""
    images = own_images(height=4, width=4, classes=3, train=200)
    config = tmp_path / "config.yaml"
    # Without this scaling, so few steps would not be better than chance, which is a warning.
    data = f"{{path: {images}, validation: 50, scaling: standard}}"
    config.write_text(f"data: {data}\nmodel: {{hidden: []}}\n")

    def command(epochs: int) -> list[object]:
        train = [*PYTHON, "-m", "mlp_cli", "train", "--config", config, "--out", "disk/runs/a"]
        return [*train, "--resume", "--set", f"training.epochs={epochs}", "--quiet"]

    root = tmp_path / "root"
    root.mkdir()
    first = Scene("first", command(1), root)
    return [first, Scene("second", command(2), root, before=first.after)]


def assert_whole(run: Path, torn: bool) -> None:
    """Check that every file of a run loads; only a kill may cut the last line of the metrics."""
    for path in run.iterdir() if run.is_dir() else ():
        if path.suffix == ".npz":
            load_checkpoint(path)
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".yaml":
            load_config(path)
        elif path.suffix == ".jsonl":
            *lines, rest = path.read_bytes().split(b"\n")
            assert torn or rest == b""
            for line in lines:
                json.loads(line)


def content(run: Path) -> dict[str, Any]:
    """Return the content of a run's folder, except for the times."""

    def timeless(record: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in record.items() if "second" not in key}

    found: dict[str, Any] = {"names": sorted(path.name for path in run.iterdir())}
    for name in ("last.npz", "best.npz"):
        arrays = load_checkpoint(run / name).arrays
        found[name] = {key: (array.shape, array.tobytes()) for key, array in arrays.items()}
    found["config"] = (run / "config.yaml").read_text()
    found["result"] = timeless(json.loads((run / "result.json").read_text()))
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {**found, "metrics": [timeless(json.loads(line)) for line in lines]}


def progress(run: Path) -> dict[str, object]:
    """Return how far a run has come, according to its files."""
    found: dict[str, object] = {}
    for path in run.iterdir() if run.is_dir() else ():
        name = re.sub(r"\.\w+\.tmp$", ".tmp", path.name)
        found[name] = path.read_bytes() if path.suffix == ".yaml" else None
        if path.suffix == ".npz":
            found[name] = load_checkpoint(path).header["state"]["epoch"]
        if path.suffix == ".jsonl":
            found[name] = len(path.read_bytes().splitlines())
    return found


@pytest.mark.long
@pytest.mark.proof("C1 C3 S4 each call of a training fails, is the last, or interrupted")
def test_a_training_with_a_fault_at_any_call_resumes_to_the_same_content(
    proof: Proof, trainings: list[Scene]
) -> None:
    faults = (*ERRORS, KILL, TERM)
    points = [(s, c, fault) for fault in faults for s in trainings for c in s.points]
    resumed: list[tuple[str, dict[str, object]]] = []
    for scene, call, fault in proof.points(points, quick=5):
        done = scene.run(call, fault)
        run = scene.disk / "runs" / "a"
        if fault in (KILL, TERM):
            assert done.returncode == -getattr(signal, f"SIG{fault[-4:]}"), done.stderr
            assert "Error" not in done.stderr
        elif is_survived(call, fault):
            assert (done.returncode, done.stderr.count("WARNING: ")) == (0, 1), done.stderr
        else:
            assert_one_message(done, 7)
        assert_whole(run, torn=fault == KILL)
        assert fault == KILL or temporaries(scene.disk) == []
        if (scene.name, progress(run)) in resumed:  # this state has been resumed before
            continue
        resumed.append((scene.name, progress(run)))
        again = scene.again()
        assert again.returncode == 0, again.stderr
        assert temporaries(scene.disk) == []
        assert content(run) == content(scene.after / "runs" / "a")


# ---------------------------------------------------------------- a download


@contextmanager
def downloads(root: Path) -> Iterator[list[Scene]]:
    """Yield two scenes: a download from a folder and one from a server. One file was damaged."""
    before = root / "before" / "mnist"
    before.mkdir(parents=True)
    (before / "images").write_bytes(RAW["images"][:-1])
    shelf = root / "shelf"
    shelf.mkdir()
    for name, packed in PACKED.items():
        (shelf / f"{name}.gz").write_bytes(packed)
    command = [*PYTHON, "-c", MLP, json.dumps(FILES), "download-data", "--data-dir", "disk"]
    with Server(serve_packed) as server:
        yield [
            Scene(name, [*command, "--mirror", mirror], root, before.parent)
            for name, mirror in (("folder", shelf), ("server", server.url))
        ]


@pytest.mark.long
@pytest.mark.proof("C1 C3 S4 each call of a download fails, is the last, or interrupted")
def test_a_download_with_a_fault_at_any_call_leaves_whole_files(
    proof: Proof, tmp_path: Path
) -> None:
    with downloads(tmp_path) as scenes:
        points = [(s, c, f) for f in (*ERRORS, KILL, TERM) for s in scenes for c in s.points]
        for scene, call, fault in proof.points(points, quick=5):
            done = scene.run(call, fault)
            folder = scene.disk / "mnist"
            if fault in (KILL, TERM):
                assert done.returncode == -getattr(signal, f"SIG{fault[-4:]}"), done.stderr
                assert "Error" not in done.stderr
            elif is_survived(call, fault):
                assert (done.returncode, done.stderr.count("WARNING: ")) == (0, 1), done.stderr
            elif "O_TMPFILE" not in call.text:  # then another kind of temporary file is used
                assert_one_message(done, 7)
            assert (folder / "images").read_bytes() in (RAW["images"][:-1], RAW["images"])
            labels = folder / "labels"
            assert not labels.exists() or labels.read_bytes() == RAW["labels"]
            assert fault == KILL or temporaries(folder) == []
            again = scene.again()
            assert again.returncode == 0, again.stderr
            assert {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".tmp"} == RAW


# ---------------------------------------------------------------- losses of power


def assert_order(scene: Scene) -> set[str]:
    """Check each file's order: write, fsync, rename, fsync of the folder. Return the names."""
    names = set()
    calls = [call for call in scene.calls if (call.result or 0) >= 0]
    for at, call in enumerate(calls):
        if call.name == "mkdir" and call.paths[0].startswith(str(scene.disk)):
            assert synced(calls[at:], Path(call.paths[0]).parent)
        if call.name != "rename":
            continue
        temporary, path = call.paths
        names.add(Path(path).name)
        to_it = [(i, c.name) for i, c in enumerate(calls) if c.paths[:1] == (temporary,)]
        forced = max(i for i, name in to_it if name == "fsync")
        assert max((i for i, name in to_it if name == "write"), default=0) < forced < at
        assert synced(calls[at:], Path(path).parent)
    return names


def synced(calls: Sequence[Call], folder: Path) -> bool:
    return any(call.name == "fsync" and call.paths == (str(folder),) for call in calls)


class Versions:
    """What each file may hold after a loss of power: the content surely on disk, or a later one.

    A rename or an unlink gives a file new content. It is surely on disk after an fsync of its
    folder.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._of: dict[str, list[bytes | None]] = {
            path: [file.content] for path, file in disk.names.items() if file is not None
        }

    def follow(self, call: Call) -> None:
        """Record what a call that was already replayed has changed."""
        if (call.result or 0) < 0:
            return
        if call.name in ("rename", "unlink"):
            path = call.paths[-1]
            file = self._disk.names.get(path)
            self._of.setdefault(path, [None]).append(file.content if file else None)
        if call.name == "fsync":
            for path, versions in self._of.items():
                if str(Path(path).parent) == call.paths[0]:
                    del versions[:-1]

    def assert_settled(self) -> None:
        """Check that all that a finished command did is on disk."""
        for path, versions in self._of.items():
            assert len(versions) == 1, f"{path} is not surely on disk"

    def assert_allow(self, state: dict[str, bytes]) -> None:
        """Check a state of the disk after a loss of power."""
        for path, versions in self._of.items():
            if not path.endswith((".tmp", ".jsonl")):
                assert state.get(path) in versions, f"{path} is neither old nor new"
        for path in state:
            assert path in self._of or path.endswith(".tmp"), path


def replays(scene: Scene) -> list[tuple[Scene, int]]:
    """Return every prefix of a scene's calls, as their number."""
    return [(scene, n) for n in range(len(scene.inside) + 1)]


def assert_survives_loss(scene: Scene, n: int, epochs: dict[bytes, int], spare: Path) -> None:
    """Check all states of the disk that are possible if the power is lost after `n` calls."""
    scene.reset()
    disk = Disk(scene.disk)
    versions = Versions(disk)
    for call in scene.inside[:n]:
        disk.replay(call)
        versions.follow(call)
    if n == len(scene.inside):
        versions.assert_settled()
    for state in disk.after_loss():
        versions.assert_allow(state)
        run = {Path(path).name: content for path, content in state.items()}
        if "env.json" not in run:  # no run
            continue
        # The files of a run must also agree: on the epochs, and on whether it is finished.
        trained = run.get("last.npz", b"")
        if trained and trained not in epochs:
            spare.write_bytes(trained)
            epochs[trained] = load_checkpoint(spare).header["state"]["epoch"]
        lines = run.get("metrics.jsonl", b"").split(b"\n")[: epochs.get(trained, 0)]
        assert [json.loads(line)["epoch"] for line in lines] == [*range(1, 1 + len(lines))]
        assert len(lines) == epochs.get(trained, 0), "a line of metrics.jsonl is lost"
        if "result.json" in run:
            asked = yaml.safe_load(run["config.yaml"])["training"]["epochs"]
            assert json.loads(run["result.json"])["epochs"] == epochs[trained] == asked


@pytest.mark.long
@pytest.mark.proof("C5 the power is lost between any two calls")
def test_a_loss_of_power_leaves_old_or_new_files_that_agree(
    proof: Proof, trainings: list[Scene], tmp_path: Path
) -> None:
    save = saving(tmp_path / "save")
    with downloads(tmp_path / "downloads") as loads:
        scenes = [save, *trainings, *loads]
    names = [assert_order(scene) for scene in scenes]
    run = {*RUN_FILES} - {"divergence.json"}
    assert names == [{"last.npz"}, run, run, {*RAW}, {*RAW}]
    epochs: dict[bytes, int] = {}
    points = [point for scene in scenes for point in replays(scene)]
    for scene, n in proof.points(points, quick=80):
        assert_survives_loss(scene, n, epochs, tmp_path / "spare.npz")


@pytest.mark.long
@pytest.mark.proof("C5 a run is resumed after a loss of power")
def test_a_run_resumes_after_a_loss_of_power(proof: Proof, trainings: list[Scene]) -> None:
    for trial in proof.trials(quick=3, long=100):
        generator = random.Random(trial)
        scene = generator.choice(trainings)
        scene.reset()
        disk = Disk(scene.disk)
        for call in scene.inside[: generator.randrange(len(scene.inside) + 1)]:
            disk.replay(call)
        shutil.rmtree(scene.disk)
        for name, left in generator.choice(list(disk.after_loss())).items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(left)
        again = scene.again()
        assert again.returncode == 0, again.stderr
        assert content(scene.disk / "runs" / "a") == content(scene.after / "runs" / "a")


@pytest.mark.long
@pytest.mark.parametrize(
    ("write", "words"),
    [
        (f"import os; os.fsync = lambda file: None; {SOUND}", "neither old nor new"),
        (
            f"import mlp_cli.storage.files; mlp_cli.storage.files.sync_folder = print; {SOUND}",
            "not surely on disk",
        ),
        (NAIVE, "neither old nor new"),
    ],
)
def test_the_replay_finds_a_missing_fsync_or_rename(write: str, words: str, tmp_path: Path) -> None:
    scene = saving(tmp_path, write)
    with pytest.raises(AssertionError, match=words):
        for point in replays(scene):
            assert_survives_loss(*point, {}, tmp_path / "spare.npz")


# ---------------------------------------------------------------- disks that are full


@contextmanager
def small_disk(place: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """Yield a folder that is a disk of its own, and a function that changes its size."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a disk of its own")
    place.mkdir()
    shell = subprocess.Popen(
        ["unshare", "-Urm", "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with shell:
        assert shell.stdin is not None
        assert shell.stdout is not None

        def resize(size: str, mount: str = "mount -o remount,size={}") -> None:
            print(mount.format(size), f"{place} 2>/dev/null; echo $?", file=shell.stdin, flush=True)
            if shell.stdout.readline() != "0\n":
                pytest.skip("needs the right to mount a disk of its own")

        resize("1m", "mount -t tmpfs -o size={} tmpfs")
        yield Path(f"/proc/{shell.pid}/root{place}"), resize


@pytest.fixture
def large(own_images: Callable[..., Path], tmp_path: Path) -> Callable[[Path], list[object]]:
    """Return the command, by its folder, that trains a net with checkpoints of 0.4 and 0.15 MB."""
    config = tmp_path / "large.yaml"
    config.write_text(
        f"data: {{path: {own_images(train=200)}, validation: 50}}\nmodel: {{hidden: [460]}}\n"
        "optimizer: {name: adam}\ntraining: {epochs: 2}\n"
    )
    train = [*PYTHON, "-m", "mlp_cli", "train", "--config", config, "--quiet"]
    return lambda out: [*train, "--resume", "--out", out]


def execute(command: Sequence[object], limit: int = -1) -> subprocess.CompletedProcess[str]:
    """Run a command that may write no file above a limit, in bytes."""
    return subprocess.run(
        ["prlimit", f"--fsize={limit}", *map(str, command)],
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.long
@pytest.mark.proof("C4 the disk is full")
def test_a_training_on_a_full_disk_fails_by_one_message_and_resumes(
    proof: Proof, large: Callable[[Path], list[object]], tmp_path: Path
) -> None:
    assert execute(large(tmp_path / "straight")).returncode == 0
    sizes = [int(64 * 32 ** (n / 49)) for n in range(50)]  # kB
    with small_disk(tmp_path / "small") as (disk, resize):
        full = 0
        for size in proof.points(sizes, quick=3):
            for path in disk.iterdir():
                shutil.rmtree(path)
            resize(f"{size}k")
            done = execute(large(disk / "run"))
            if done.returncode != 0:
                full += 1
                assert_one_message(done, 7)
                assert "No space left on device" in done.stderr
            assert_whole(disk / "run", torn=False)
            assert temporaries(disk) == []
            resize("8m")
            assert execute(large(disk / "run")).returncode == 0
            assert content(disk / "run") == content(tmp_path / "straight")
        assert 1 < full < proof.begun


@pytest.mark.long
@pytest.mark.proof("C4 files have a largest size")
def test_a_training_with_a_limit_on_files_fails_by_one_message_and_resumes(
    proof: Proof, large: Callable[[Path], list[object]], tmp_path: Path
) -> None:
    short = ["--set", "training.epochs=1"]
    assert execute([*large(tmp_path / "before"), *short]).returncode == 0
    assert execute(large(tmp_path / "straight")).returncode == 0
    largest = (tmp_path / "before" / "last.npz").stat().st_size
    limits = [int(100 * (2 * largest / 100) ** (n / 49)) for n in range(50)]
    run = tmp_path / "run"
    for limit in proof.points(limits, quick=3):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(tmp_path / "before", run)
        done = execute(large(run), limit)
        assert (done.returncode == 0) == (limit > largest), done.stderr
        if done.returncode != 0:
            assert_one_message(done, 7)
            assert "File too large" in done.stderr
            assert load_checkpoint(run / "last.npz").header["state"]["epoch"] == 1
        assert_whole(run, torn=False)
        assert temporaries(run) == []
        assert execute(large(run)).returncode == 0
        assert content(run) == content(tmp_path / "straight")
