"""Files are found in the folder that `--data-dir` names, not only in its folder `mnist`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlp_cli import SilentObserver, evaluate, train
from mlp_cli.data.mnist import MNIST_FILES, MnistFile, mnist_folder, names_of
from mlp_cli.errors import DataError, StorageError

Mlp = Callable[..., subprocess.CompletedProcess[str]]
SMALL = {"model.hidden": [4], "training.epochs": 1, "training.batch_size": 1000}
SETS = [f"--set={key}={value}" for key, value in SMALL.items()]
FALLBACK = "--set=data.fallback=synthetic"
NO_DOWNLOAD = "--set=data.download=false"


@pytest.mark.parametrize("file", MNIST_FILES, ids=lambda file: file.name)
def test_one_file_under_any_of_its_names_makes_the_named_folder_mnists(
    file: MnistFile, tmp_path: Path
) -> None:
    assert mnist_folder(tmp_path) == tmp_path / "mnist"
    for name in names_of(file.name):
        (tmp_path / name).touch()
        assert mnist_folder(tmp_path) == tmp_path, name
        (tmp_path / name).unlink()
    assert mnist_folder(tmp_path) == tmp_path / "mnist"


@pytest.mark.parametrize("inside", ["folder", "file"])
def test_a_folder_mnist_goes_before_files_beside_it(inside: str, tmp_path: Path) -> None:
    (tmp_path / MNIST_FILES[0].name).touch()
    (tmp_path / "mnist").touch() if inside == "file" else (tmp_path / "mnist").mkdir()
    assert mnist_folder(tmp_path) == tmp_path / "mnist"


def test_other_files_or_no_folder_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "train-images.npy").touch()
    (tmp_path / MNIST_FILES[0].name).mkdir()
    assert mnist_folder(tmp_path) == tmp_path / "mnist"
    assert mnist_folder(tmp_path / "none") == tmp_path / "none" / "mnist"


def test_a_name_that_no_folder_can_have_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the folder"):
        mnist_folder(tmp_path / ("x" * 300))


@pytest.mark.long
@pytest.mark.parametrize("command", ["train", "download-data", "config preview"])
def test_other_files_under_mnists_names_are_reported_where_they_were_named(
    command: str, mlp: Mlp, own_images: Callable[..., Path]
) -> None:
    if command == "config preview" and find_spec("matplotlib") is None:
        pytest.skip("needs matplotlib")
    own = own_images()
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    picture = ["p.png"] if command == "config preview" else []
    done = mlp(*command.split(), *picture, "--data-dir", own)
    assert done.returncode == 3, done.stderr
    assert f"{own} has files under MNIST's names that are not MNIST's." in done.stderr
    assert f"--set data.path={own}" in done.stderr
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before


@pytest.mark.long
def test_other_files_are_reported_before_a_fallback_is_taken(
    mlp: Mlp, own_images: Callable[..., Path]
) -> None:
    own = own_images()
    done = mlp("train", *SETS, FALLBACK, "--data-dir", own)
    assert f"{own} has files under MNIST's names that are not MNIST's." in done.stderr


@pytest.mark.long
def test_from_python_files_are_found_where_they_were_named(
    own_images: Callable[..., Path], tmp_path: Path
) -> None:
    own = own_images()
    changes = {**SMALL, "data.download": False}
    with pytest.raises(DataError, match=rf"^{own} has files under MNIST's names"):
        train({}, out=tmp_path / "run", set=changes, data_dir=own, observer=SilentObserver())
    drawn = {**SMALL, "data.dataset": "synthetic"}
    run = train({}, out=tmp_path / "run", set=drawn, data_dir=own, observer=SilentObserver())
    assert evaluate(run, data_dir=own).dataset == "synthetic"


@pytest.fixture
def named(tmp_path: Path, mnist_source: Path) -> Path:
    """A folder that holds MNIST's four files itself."""
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for path in mnist_source.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.long
def test_mnist_is_trained_on_and_scored_where_it_was_named(
    named: Path, mlp: Mlp, tmp_path: Path
) -> None:
    names = {path.name for path in named.iterdir()}
    done = mlp("train", *SETS, FALLBACK, NO_DOWNLOAD, "--out=run", "--json", "--data-dir", named)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dataset"] == "mnist"
    assert "SYNTHETIC" not in done.stderr
    scored = mlp("eval", "run", "--json", MLP_DATA_DIR=str(named))
    assert json.loads(scored.stdout)["dataset"] == "mnist"
    assert evaluate(tmp_path / "run", data_dir=named).dataset == "mnist"
    fetched = mlp("download-data", "--data-dir", named)
    assert (fetched.returncode, fetched.stdout) == (0, f"{named}\n")
    assert "already there" in fetched.stderr
    # The usual way leads to the same files.
    assert mlp("download-data").stdout == "data/mnist\n"
    assert {path.name for path in named.iterdir()} == names


@pytest.mark.long
@pytest.mark.parametrize("lost", ["gone", "cut short"])
def test_a_file_is_fetched_into_the_folder_where_the_others_lie(
    lost: str, named: Path, mnist_source: Path, mlp: Mlp
) -> None:
    name = MNIST_FILES[3].name
    for path in named.glob(f"{name}*"):
        path.unlink()
    if lost == "cut short":
        (named / name).write_bytes(b"")
    done = mlp("download-data", "--data-dir", named, "--mirror", mnist_source)
    assert (done.returncode, done.stdout) == (0, f"{named}\n"), done.stderr
    assert (named / name).stat().st_size == MNIST_FILES[3].size
    assert not (named / "mnist").exists()
