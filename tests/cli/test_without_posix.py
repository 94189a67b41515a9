"""What trains, scores, compares and sweeps needs nothing that Windows lacks.

On Linux, `helpers/without_posix` hides what only POSIX has from each process of the program. On
other systems the program runs as it is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import assert_same_run, records
from helpers.stand_ins import FILES, MLP, PACKED
from helpers.sweeps import run as sweep_here
from helpers.sweeps import table, write_sweep

from mlp_cli.storage.checkpoint import load_checkpoint
from mlp_cli.storage.remedies import remedy

ROOT = Path(__file__).parents[2]
HIDING = sys.platform == "linux"
PATHS = [ROOT / "tests/helpers/without_posix", ROOT] if HIDING else [ROOT]
HERE = {**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"}  # where nothing is hidden
PYTHON = [sys.executable, "-W", "error"]
PROGRAM = [*PYTHON, "-m", "mlp_cli"]
IN_USE = "another process is training this run"
STARTED: list[subprocess.Popen[str]] = []  # by the test that runs

pytestmark = pytest.mark.long
only_hidden = pytest.mark.skipif(not HIDING, reason="needs what is hidden on Linux")


def start(command: list[str], *arguments: object, **options: Any) -> subprocess.Popen[str]:
    paths = os.pathsep.join(map(str, PATHS))
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        env={**HERE, "PYTHONPATH": paths, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    for process in STARTED:
        with process:
            process.kill()
    STARTED.clear()


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=100)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


def mlp(*arguments: object, code: int = 0) -> tuple[str, str]:
    return finish(start(PROGRAM, *arguments), code)


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@only_hidden
def test_what_only_posix_has_is_hidden(tmp_path: Path) -> None:
    code = """
import os, select, signal, sys
from mlp_cli.storage.locks import WINDOWS
assert WINDOWS
def open_twice():
    with open(sys.argv[1], "w"):
        os.unlink(sys.argv[1])
for attempt in (
    lambda: __import__("fcntl"), lambda: __import__("resource"), lambda: os.fork,
    lambda: os.open(".", os.O_RDONLY), lambda: signal.SIGHUP, lambda: select.poll, open_twice,
):
    try:
        attempt()
    except (AttributeError, ImportError, PermissionError):
        continue
    sys.exit(1)
"""
    finish(start(PYTHON, "-c", code, tmp_path / "file"))


def test_data_are_fetched_from_a_folder(tmp_path: Path) -> None:
    mirror, data = tmp_path / "mirror", tmp_path / "data"
    mirror.mkdir()
    for name, content in PACKED.items():
        (mirror / f"{name}.gz").write_bytes(content)
    program = [*PYTHON, "-c", MLP, json.dumps(FILES), "download-data", "--mirror", str(mirror)]
    for _ in range(2):
        finish(start(program, "--data-dir", data))
    assert {path.name for path in (data / "mnist").iterdir()} >= set(PACKED)


def test_a_run_is_trained_scored_listed_and_compared(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    out, err = mlp("train", config, "--out", run)
    assert out.splitlines()[-1] == str(run)
    assert "cannot" not in err  # no warning that the file system lacks something
    mlp("train", config, "--out", run, "--overwrite")
    predictions = tmp_path / "p.csv"
    score, _ = mlp("eval", run, "--json", "--predictions", predictions)
    assert json.loads(score)["n"] == len(predictions.read_text().splitlines()) - 1
    assert [found["state"] for found in json.loads(mlp("runs", tmp_path, "--json")[0])] == [
        "finished"
    ]
    assert mlp("compare", run, run)[0].count("finished") == 1


def test_one_process_trains_a_run_and_its_state_is_seen(config: Path, tmp_path: Path) -> None:
    run, long = tmp_path / "run", ["--set", "training.epochs=100000"]
    process = start(PROGRAM, "train", config, "--out", run, *long)
    wait_until((run / "last.npz").exists, process)
    _, err = mlp("train", config, "--out", run, *long, "--resume", code=2)
    assert IN_USE in err
    states = [json.loads(mlp("runs", run, "--json")[0])[0]["state"]]
    process.kill()
    process.communicate()
    states += [json.loads(mlp("runs", run, "--json")[0])[0]["state"]]
    assert states == ["running", "stopped"]


def test_a_killed_training_continues_with_the_same_bits(config: Path, tmp_path: Path) -> None:
    settings = [config, "--set", "training.epochs=12", "--set", "training.batch_size=1"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*PROGRAM, "train", *settings, "--out", whole, "--quiet"], env=HERE, check=True)
    process = start(PROGRAM, "train", *settings, "--out", killed)
    wait_until(lambda: (killed / "last.npz").exists() and records(killed), process)
    process.kill()
    process.communicate()
    mlp("train", "--out", killed, "--resume")
    assert_same_run(whole, killed)


@only_hidden
def test_ctrl_c_saves_a_training_and_ends_it_by_an_exit_code(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(PROGRAM, "train", config, "--out", run, "--set", "training.epochs=100000")
    wait_until(lambda: (run / "metrics.jsonl").exists() and records(run), process)
    process.send_signal(signal.SIGINT)
    _, err = finish(process, 128 + signal.SIGINT)
    assert "mlp train --resume" in err
    assert not (run / "result.json").exists()


def test_a_sweep_with_two_processes_finds_what_forks_find(
    own_images: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_sweep(tmp_path, own_images())
    here = sweep_here(file, "--out", tmp_path / "here", env=HERE)
    assert here.returncode == 0
    out, _ = mlp("sweep", file, "--out", tmp_path / "out", "--jobs", 2)
    assert Path(out.splitlines()[-1]).is_dir()
    assert table(tmp_path / "out") == table(tmp_path / "here")


@only_hidden
def test_ctrl_c_lets_the_trainings_of_a_sweep_save_themselves(
    own_images: Callable[..., Path], tmp_path: Path
) -> None:
    text = "search: {optimizer.learning_rate: [0.01, 0.1]}\n"
    file, out = write_sweep(tmp_path, own_images(), text, epochs=100000), tmp_path / "out"
    process = start(PROGRAM, "sweep", file, "--out", out, "--jobs", 2)
    runs = [out / f"trials/0000{trial}/seed-0" for trial in range(2)]
    wait_until(lambda: all((run / "metrics.jsonl").exists() for run in runs), process)
    wait_until(lambda: all(map(records, runs)), process)
    process.send_signal(signal.SIGINT)
    _, err = finish(process, 128 + signal.SIGINT)
    assert "Stopped and saved. The same command continues." in err
    for run in runs:
        assert load_checkpoint(run / "last.npz").state().epoch == len(records(run))
    assert not [*out.glob("trials/*/failed.json")]


def test_a_killed_sweep_ends_its_processes_and_continues(
    own_images: Callable[..., Path], tmp_path: Path
) -> None:
    text = "search: {optimizer.learning_rate: [0.01, 0.1]}\n"
    file, out = write_sweep(tmp_path, own_images(), text, epochs=300), tmp_path / "out"
    process = start(PROGRAM, "sweep", file, "--out", out, "--jobs", 2)
    wait_until(lambda: len([*out.glob("trials/*/*/last.npz")]) == 2, process)
    process.kill()
    process.communicate(timeout=60)  # ends only when the trainings have: they have its stderr
    assert "stopped" in {run["state"] for run in json.loads(mlp("runs", out, "--json")[0])}
    mlp("sweep", file, "--out", out, "--jobs", 2)
    assert len([*out.glob("trials/*/*/result.json")]) == 2


@only_hidden
def test_a_file_that_a_reader_holds_for_a_moment_is_replaced(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from mlp_cli.errors import StorageError
from mlp_cli.storage.files import atomic_write
atomic_write(Path(sys.argv[1]), b"new")
try:
    atomic_write(Path(sys.argv[2]), b"new")
except StorageError as error:
    sys.exit(str(error))
"""
    moment, long = tmp_path / "moment", tmp_path / "long"
    for file in (moment, long):
        file.write_text("old")
    with moment.open() as reader, long.open():
        threading.Timer(0.5, reader.close).start()
        _, err = finish(start(PYTHON, "-c", code, moment, long), 1)
    assert str(long) in err
    assert (moment.read_text(), long.read_text()) == ("new", "old")
    assert {path.name for path in tmp_path.iterdir()} == {"moment", "long"}


def test_a_configuration_is_read_from_a_pipe(config: Path) -> None:
    process = start(PROGRAM, "config", "show", "-", stdin=subprocess.PIPE)
    out, _ = process.communicate(config.read_text(), timeout=60)
    assert process.returncode == 0
    assert "hidden" in out


@only_hidden
def test_compiled_kernels_are_refused_in_words(config: Path) -> None:
    process = start(
        [*PYTHON, "-c", "import os; os.environ['MLP_KERNELS'] = 'fast'\n"
         "from mlp_cli.cli.main import main; main()"], "train", config
    )  # fmt: skip
    assert "Windows has no compiled kernels" in finish(process, 2)[1]


def test_a_file_that_another_program_holds_has_its_own_remedy() -> None:
    error = PermissionError(13, "Permission denied")
    assert "Another program" not in remedy(error)
    error.winerror = 32
    assert "Another program" in remedy(error)
