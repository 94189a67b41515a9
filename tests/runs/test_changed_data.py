"""A run is never continued on other data than it began with, whatever has changed in them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.changes import CHANGES, RESIZED, Change, change, pack
from helpers.craft import opened, sealed
from helpers.own_images import write_own_images
from helpers.runs import assert_same_run
from helpers.selection import few
from helpers.stopping import Stop, resume

from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config
from mlp_cli.errors import CheckpointError, DataError

ROOT = Path(__file__).parents[2]
STOPS = {"within an epoch": {"chunks": 1}, "after an epoch": {"epochs": 1}, "finished": {}}
TRAIN = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


class Runs:
    """Runs on the data in `folder`, by where they were stopped."""

    def __init__(self, parent: Path) -> None:
        self.folder = write_own_images(parent, 4, 5, classes=3, train=1500)
        data = {"path": str(self.folder), "validation": 15}
        training = {"epochs": 2, "batch_size": 32}
        settings = {"data": data, "model": {"hidden": [5]}, "training": training}
        self.config = from_dict(settings, "the test")
        for name, stop in STOPS.items():
            resume(parent / name, self.config, Stop(**stop))
        resume(parent / "longer", self.longer)
        shutil.copytree(self.folder, parent / "original")

    @property
    def longer(self) -> Config:
        training = self.config.training.model_copy(update={"epochs": 3})
        return self.config.model_copy(update={"training": training})

    def copy(self, stop: str) -> tuple[Path, Config]:
        """Return a new copy of a run, and the configuration to continue it; restore the data."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.parent / "original", self.folder)
        run = self.folder.parent / "copy"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.folder.parent / stop, run)
        return run, self.longer if stop == "finished" else self.config

    def restore_data(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.folder.parent / "original", self.folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def content(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir()}


def refused(run: Path, config: Config, words: str) -> str:
    """Check that a run is refused for its data, and that nothing in its folder changes."""
    before = content(run)
    with pytest.raises(DataError, match=words) as caught:
        resume(run, config)
    assert content(run) == before
    message = str(caught.value)
    assert str(run) in message
    assert config.data.path in message
    assert "Put the right files back, or name their folder with --data-path DIR." in message
    return message


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("name", few(CHANGES, 4))
def test_a_run_whose_training_images_or_labels_have_changed_is_refused(
    name: str, stop: str, runs: Runs
) -> None:
    run, config = runs.copy(stop)
    before = content(runs.folder)
    change(runs.folder, CHANGES[name])
    message = refused(run, config, "these are not the data that .*last.npz was trained on")
    after = content(runs.folder)
    for file in TRAIN:
        assert (file in message) == (after[file] != before[file])
    runs.restore_data()  # from then on it continues as if nothing had been
    assert resume(run, config) == (True, [])
    assert_same_run(run, runs.folder.parent / ("longer" if stop == "finished" else "finished"))


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("name", few(RESIZED, 2))
def test_a_run_whose_data_have_another_size_is_refused_for_the_data(
    name: str, stop: str, runs: Runs
) -> None:
    words = {
        "as many as the held out": "there are too few images for data.validation",
        "an image alone": "there are too few images for data.validation",
        "upright": "the images have 5×4 pixels, not 4×5; train-images-idx3-ubyte",
        "wider": "the images have 4×6 pixels, not 4×5",
        "a class less": "there are 2 classes, not 3; train-labels-idx1-ubyte",
        "a class more": "there are 4 classes, not 3",
    }
    run, config = runs.copy(stop)
    change(runs.folder, RESIZED[name])
    if name in ("upright", "wider", "a class less"):  # else the files do not fit together
        change(runs.folder, RESIZED[name], "t10k")
    refused(run, config, words.get(name, "train-images-idx3-ubyte and train-labels-idx1-ubyte"))


@pytest.mark.parametrize("name", few(CHANGES, 3))
def test_a_run_whose_test_set_has_changed_is_refused_if_it_reads_it(name: str, runs: Runs) -> None:
    run, config = runs.copy("after an epoch")
    change(runs.folder, CHANGES[name], "t10k")
    message = refused(run, config, "t10k-(images|labels)-idx")
    assert "train-" not in message.split("trained on")[1]


def test_training_and_test_files_that_changed_places_are_refused(runs: Runs) -> None:
    run, config = runs.copy("within an epoch")
    for kind in ("images-idx3", "labels-idx1"):
        train, test = (runs.folder / f"{split}-{kind}-ubyte" for split in ("train", "t10k"))
        test.rename(runs.folder / "kept")
        shutil.copy(train, test)
    refused(run, config, "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte differ")


def test_a_test_set_that_the_run_does_not_read_may_change(runs: Runs, tmp_path: Path) -> None:
    data = runs.config.data.model_copy(update={"test": False})
    config = runs.config.model_copy(update={"data": data})
    runs.copy("finished")
    resume(tmp_path / "run", config, Stop(epochs=1))
    change(runs.folder, CHANGES["all labels"], "t10k")
    assert resume(tmp_path / "run", config) == (True, [])


def test_data_that_were_only_packed_or_renamed_are_the_same(runs: Runs) -> None:
    run, config = runs.copy("within an epoch")
    pack(runs.folder)
    for path in runs.folder.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert resume(run, config) == (True, [])
    assert_same_run(run, runs.folder.parent / "finished")


def test_changed_data_are_found_in_packed_files_too(runs: Runs) -> None:
    run, config = runs.copy("within an epoch")
    change(runs.folder, CHANGES["a label"])
    pack(runs.folder)
    refused(run, config, "train-labels-idx1-ubyte differs")


def test_a_finished_run_prints_its_result_whatever_became_of_the_data(runs: Runs) -> None:
    run, _ = runs.copy("finished")
    before = content(run)
    change(runs.folder, CHANGES["all labels"])
    assert resume(run, runs.config) == (True, [])
    shutil.rmtree(runs.folder)
    assert resume(run, runs.config) == (True, [])
    assert content(run) == before
    runs.folder.mkdir()


@pytest.mark.long
def test_a_killed_run_whose_data_changed_ends_with_exit_code_3(
    mlp: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder = write_own_images(tmp_path, 4, 5, classes=3, train=600)
    arguments = [
        "train", "quickstart", "--out", "run", "--resume", "--quiet",
        "--set", f"data.path={folder}", "--set", "data.validation=100",
        "--set", "training.epochs=1000000",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "mlp_cli", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLP_KERNELS": "numpy"},
        stderr=subprocess.DEVNULL,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    change(folder, CHANGES["a pixel"])
    done = mlp(*arguments)
    assert done.returncode == 3
    assert f"Error: {folder}: these are not the data that run/last.npz was trained" in done.stderr
    assert "train-images-idx3-ubyte differs" in done.stderr
    assert "Traceback" not in done.stderr


def without_digests(run: Path) -> None:
    """Make a run's checkpoints those of an earlier build."""
    for path in run.glob("*.npz"):
        arrays, header = opened(path)
        del header["data"]["digests"]
        path.write_bytes(sealed(arrays, header))


def test_a_run_of_an_earlier_build_continues_and_has_digests_from_then_on(runs: Runs) -> None:
    run, config = runs.copy("within an epoch")
    without_digests(run)
    assert resume(run, config, Stop(chunks=1)) == (False, [])
    change(runs.folder, CHANGES["a pixel"])
    refused(run, config, "train-images-idx3-ubyte differs")
    runs.restore_data()
    assert resume(run, config) == (True, [])
    assert_same_run(run, runs.folder.parent / "finished")


OLD: list[tuple[str, Change, type[Exception], str]] = [
    ("upright", RESIZED["upright"], DataError, "the images have 5×4 pixels, not 4×5. Put"),
    ("a class more", RESIZED["a class more"], DataError, "there are 4 classes, not 3. Put"),
    ("alone", RESIZED["an image alone"], DataError, "too few images for data.validation. Put"),
    ("more", RESIZED["more images"], CheckpointError, "If the data have changed, put back"),
]


@pytest.mark.parametrize(("name", "how", "error", "words"), OLD, ids=[case[0] for case in OLD])
def test_without_digests_data_of_another_size_are_refused(
    name: str, how: Change, error: type[Exception], words: str, runs: Runs
) -> None:
    run, config = runs.copy("after an epoch")
    without_digests(run)
    before = content(run)
    change(runs.folder, how)
    if name == "upright":
        change(runs.folder, how, "t10k")
    with pytest.raises(error, match=words):
        resume(run, config)
    assert content(run) == before
