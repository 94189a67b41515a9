"""A training that is too short to be worth compiling for, and a resumed run that keeps its kernels.

Before the tests, both types of parameters were compiled (`compiled_kernels`). Where the kernels are
not to be ready, another folder is named for them.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers.kept_kernels import copy_kernels, folder_of_kernels
from helpers.runs import assert_same_run

from mlp_cli import SilentObserver, load_config, train
from mlp_cli.compute.machine import available_cores
from mlp_cli.compute.select import EngineChoice, choose_engine, is_worth_compiling
from mlp_cli.config.schema import Config
from mlp_cli.data.dataset import Dataset, load_dataset
from mlp_cli.runs.kernels import choose_kernels
from mlp_cli.storage.checkpoint import Checkpoint

ROOT = Path(__file__).parents[2]
Mlp = Callable[..., subprocess.CompletedProcess[str]]

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")

TOO_SHORT = (
    "The compiled kernels are not ready, and this training is too short to be worth compiling for, "
    "so NumPy's kernels compute it. MLP_KERNELS=fast compiles them.\n"
)
# Python then finds no Numba.
WITHOUT_NUMBA = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "numba" else find_spec(name, *rest)
"""
COMPILING = "WARNING: the kernels must be compiled."


def kernels(run: Path) -> str:
    """Return the first word of the name of the kernels that computed a run."""
    return str(json.loads((run / "env.json").read_text())["kernels"]).split()[0]


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """The name of a folder without compiled kernels."""
    return str(tmp_path / "empty")


@needs_numba
def test_a_short_training_does_not_compile_and_says_how_to(
    mlp: Mlp, config: Path, tmp_path: Path, empty: str
) -> None:
    done = mlp("train", config, "--out", "run", NUMBA_CACHE_DIR=empty)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(TOO_SHORT)
    assert "computed by  1 thread, numpy" in done.stderr
    assert kernels(tmp_path / "run") == "numpy"
    assert not list(Path(empty).rglob("*.bin"))


@needs_numba
def test_a_short_training_uses_compiled_kernels_that_are_ready(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    done = mlp("train", config, "--out", "run")
    assert done.returncode == 0, done.stderr
    assert kernels(tmp_path / "run") == "numba"
    assert "too short" not in done.stderr


def first_line(*arguments: object, folder: Path, **environ: str) -> str:
    """Start a process, kill it after its first line on stderr, and return the line."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    process.kill()
    process.communicate()
    return line


@needs_numba
@pytest.mark.parametrize(
    ("options", "environ"),
    [([], {"MLP_KERNELS": "fast"}), (["--set", "training.epochs=1000000"], {})],
    ids=["the kernels are named", "the training is long"],
)
def test_other_trainings_compile(
    options: list[str], environ: dict[str, str], config: Path, tmp_path: Path, empty: str
) -> None:
    command = ["-m", "mlp_cli", "train", config, "--out", "run", *options]
    line = first_line(*command, folder=tmp_path, NUMBA_CACHE_DIR=empty, **environ)
    assert line.startswith(COMPILING)


@needs_numba
@pytest.mark.parametrize(
    ("argument", "begins"), [("None", TOO_SHORT), ("'fast'", COMPILING)], ids=["none", "fast"]
)
def test_a_training_from_python_follows_the_same_rule(
    argument: str, begins: str, config: Path, tmp_path: Path, empty: str
) -> None:
    code = f"from mlp_cli import train; train({str(config)!r}, out='run', kernels={argument})"
    assert first_line("-c", code, folder=tmp_path, NUMBA_CACHE_DIR=empty).startswith(begins)


@needs_numba
def test_the_types_of_parameters_are_compiled_apart(
    mlp: Mlp, config: Path, tmp_path: Path, empty: str
) -> None:
    copy_kernels(Path(empty), "float32")
    for dtype, expected in (("float32", "numba"), ("float64", "numpy")):
        change = f"training.dtype={dtype}"
        done = mlp("train", config, "--set", change, "--out", dtype, NUMBA_CACHE_DIR=empty)
        assert done.returncode == 0, done.stderr
        assert kernels(tmp_path / dtype) == expected


@needs_numba
@pytest.mark.parametrize("damage", [b"", b"\0" * 500])
def test_damaged_kernels_are_not_ready(
    damage: bytes, mlp: Mlp, config: Path, tmp_path: Path, empty: str
) -> None:
    for file in copy_kernels(Path(empty), "float32").iterdir():
        file.write_bytes(damage)
    done = mlp("train", config, "--out", "run", NUMBA_CACHE_DIR=empty)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(TOO_SHORT)
    assert kernels(tmp_path / "run") == "numpy"


@needs_numba
def test_a_short_training_does_not_wait_for_a_process_that_compiles(
    mlp: Mlp, config: Path, tmp_path: Path, empty: str
) -> None:
    descriptor = os.open(folder_of_kernels(Path(empty)), os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    done = mlp("train", config, "--out", "run", NUMBA_CACHE_DIR=empty)
    os.close(descriptor)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(TOO_SHORT)


@needs_numba
def test_a_resumed_run_keeps_numpys_kernels_when_the_compiled_ones_are_ready(
    mlp: Mlp, config: Path, tmp_path: Path, empty: str
) -> None:
    longer = ["--set", "training.epochs=5", "--quiet"]
    begun = mlp("train", config, "--out", "resumed", "--quiet", NUMBA_CACHE_DIR=empty)
    assert (begun.returncode, begun.stderr) == (0, "")
    resumed = mlp("train", config, *longer, "--out", "resumed", "--resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert kernels(tmp_path / "resumed") == "numpy"
    straight = mlp("train", config, *longer, "--out", "straight", MLP_KERNELS="numpy")
    assert straight.returncode == 0, straight.stderr
    assert_same_run(tmp_path / "resumed", tmp_path / "straight")


class StopAfterAChunk(SilentObserver):
    """Stops a training within its first epoch, as Ctrl-C does."""

    def chunk(self, state: object, epochs: int, rows: int, loss: float) -> None:
        raise KeyboardInterrupt


@needs_numba
@pytest.mark.parametrize("began_with", ["numpy", "fast"])
def test_a_stopped_run_continues_with_its_kernels_to_the_same_bits(
    began_with: str, config: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "stopped", kernels=began_with, observer=StopAfterAChunk())
    train(config, out=tmp_path / "stopped", resume=True, observer=SilentObserver())
    train(config, out=tmp_path / "straight", kernels=began_with, observer=SilentObserver())
    assert kernels(tmp_path / "stopped") == kernels(tmp_path / "straight")
    assert_same_run(tmp_path / "stopped", tmp_path / "straight")


@needs_numba
def test_a_run_whose_kernels_are_not_installed_continues_with_numpys_and_a_warning(
    mlp: Mlp, config: Path, tmp_path: Path
) -> None:
    begun = mlp("train", config, "--out", "run", "--quiet", MLP_KERNELS="fast")
    assert begun.returncode == 0, begun.stderr
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_NUMBA)
    longer = ["--set", "training.epochs=4", "--quiet"]
    path = f"{tmp_path}:{ROOT}"
    resumed = mlp("train", config, *longer, "--out", "run", "--resume", PYTHONPATH=path)
    assert resumed.returncode == 0, resumed.stderr
    assert "kernels: numba" in resumed.stderr and "then, numpy now" in resumed.stderr
    assert kernels(tmp_path / "run") == "numpy"


@pytest.fixture
def loaded(config: Path) -> tuple[Config, Dataset]:
    found = load_config(config)
    return found, load_dataset(found, config.parent)


def checkpoint_by(name: object) -> Checkpoint:
    return Checkpoint(Path("last.npz"), {}, {"environment": {"kernels": name}})


@pytest.mark.parametrize("name", ["numpy", "numba 0.61.0", "numba 0.61.0 with mkl 2024.2", None])
def test_the_threads_follow_the_kernels_of_a_resumed_run(
    name: str | None, loaded: tuple[Config, Dataset]
) -> None:
    choice, checkpoint = EngineChoice(2, True, numpy_threads=1), checkpoint_by(name)
    found = choose_kernels(choice, *loaded, checkpoint, log=pytest.fail)
    assert found[:2] == ((1, False) if name == "numpy" else (2, True))


@pytest.mark.parametrize("choice", [EngineChoice(2, True), EngineChoice(2, False)])
def test_kernels_that_are_named_or_not_installed_are_no_choice(
    choice: EngineChoice, loaded: tuple[Config, Dataset]
) -> None:
    for checkpoint in (None, checkpoint_by("numpy"), checkpoint_by("numba 0.61.0")):
        assert choose_kernels(choice, *loaded, checkpoint, log=pytest.fail) == choice


@needs_numba
def test_numpys_kernels_take_the_place_of_others_only_if_none_are_named() -> None:
    def chosen(environ: dict[str, str], **options: Any) -> EngineChoice:
        return choose_engine([128], 64, environ, **options)

    assert chosen({}) == EngineChoice(available_cores(), True, 1)
    assert chosen({"MLP_KERNELS": ""}, threads=1) == EngineChoice(1, True, 1)
    assert chosen({"MLP_KERNELS": "fast"}) == EngineChoice(available_cores(), True)
    assert chosen({}, kernels="fast") == EngineChoice(available_cores(), True)
    assert chosen({"MLP_KERNELS": "fast"}, kernels="numpy") == EngineChoice(1, False)


@pytest.mark.parametrize(
    ("hidden", "batch_size", "longest"),  # and the most epochs that are too short
    [
        ([30], 10, 51),
        ([128], 64, 112),
        ([512, 512], 128, 23),
        ([2500, 2000, 1500, 1000, 500], 128, 1),
    ],
)
def test_a_training_is_worth_compiling_from_some_number_of_epochs_on(
    hidden: list[int], batch_size: int, longest: int
) -> None:
    sizes = (784, *hidden, 10)
    assert not is_worth_compiling(sizes, batch_size, 60_000, longest)
    assert is_worth_compiling(sizes, batch_size, 60_000, longest + 1)
