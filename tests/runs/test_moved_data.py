"""A run goes on wherever its data are now, and its files say where that is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden.make import FOLDER, write_data
from helpers.changes import CHANGES, change, pack
from helpers.craft import opened, sealed
from helpers.own_images import write_own_images
from helpers.runs import assert_same_run
from helpers.stopping import Stop, resume

from mlp_cli import MlpError, SilentObserver, evaluate, load_config, train
from mlp_cli.compute.select import EngineChoice
from mlp_cli.config.load import dump_config, from_dict
from mlp_cli.config.schema import Config
from mlp_cli.errors import ConfigError, DataError
from mlp_cli.inference.evaluate import evaluate_checkpoints
from mlp_cli.inference.model import trained_by
from mlp_cli.runs import same_data
from mlp_cli.runs.train import RunOptions, train_run
from mlp_cli.storage.checkpoint import load_checkpoint

Mlp = Callable[..., subprocess.CompletedProcess[str]]


def settings(folder: Path, validation: int = 15) -> Config:
    data = {"path": str(folder), "validation": validation}
    training = {"epochs": 3, "batch_size": 32}
    return from_dict({"data": data, "model": {"hidden": [5]}, "training": training}, "the test")


def continued(run: Path, config: Config, now: Path | None, stop: Stop | None = None) -> list[str]:
    """Finish a run whose data are `now` in a folder, or go on until `stop`; return the warnings."""
    ending = stop or Stop()
    options = RunOptions(run.parent, [], run, "resume", "test", EngineChoice(1, False), now)
    _, result = train_run(config, options, ending, ending)
    assert (result is None) == (stop is not None)
    return ending.warnings


class Moved:
    """A run that was stopped before its data went from `old` to `new`."""

    def __init__(self, parent: Path, **settings_of: int) -> None:
        self.old = write_own_images(parent, 4, 5, classes=3, train=1500)
        self.new = parent / "disk" / "own images"
        self.config, self.run = settings(self.old, **settings_of), parent / "run"
        resume(self.run, self.config, Stop(epochs=1))
        self.new.parent.mkdir()
        self.old.rename(self.new)
        self.whole = parent / "whole"
        resume(self.whole, settings(self.new, **settings_of))


@pytest.fixture
def moved(tmp_path: Path) -> Moved:
    return Moved(tmp_path)


def content(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir()}


def assert_at(run: Path, folder: Path) -> None:
    """Check that all files of a run say that its data are in a folder."""
    assert load_config(run / "config.yaml").data.path == str(folder)
    for path in (run / "best.npz", run / "last.npz"):
        checkpoint = load_checkpoint(path)
        assert trained_by(checkpoint).data.path == checkpoint.data().name == str(folder)
        assert len(checkpoint.data().digests) == 4
    assert json.loads((run / "result.json").read_text())["dataset"] == str(folder)


@pytest.mark.long
@pytest.mark.parametrize("named", ["by the option", "by the configuration"])
@pytest.mark.parametrize("kind", ["moved", "a link", "a linked parent", "packed", "relative"])
def test_a_run_whose_data_moved_goes_on_bit_for_bit(
    kind: str, named: str, moved: Moved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = moved.new
    if kind == "a link":
        folder = tmp_path / "link"
        folder.symlink_to(moved.new)
    elif kind == "a linked parent":  # another mount point
        (tmp_path / "mnt").symlink_to(tmp_path / "disk")
        folder = tmp_path / "mnt" / "own images"
    elif kind == "packed":
        folder = tmp_path / "packed"
        shutil.copytree(moved.new, folder)
        pack(folder)
    given = folder
    if kind == "relative":
        monkeypatch.chdir(tmp_path)
        given = folder.relative_to(tmp_path)
    if named == "by the option":
        assert continued(moved.run, moved.config, given) == []
    else:
        assert continued(moved.run, settings(given), None) == []
    assert_at(moved.run, folder)
    if folder != moved.new:
        shutil.rmtree(moved.whole)
        resume(moved.whole, settings(folder))
    assert_same_run(moved.run, moved.whole)
    assert evaluate_checkpoints([moved.run], "validation", tmp_path).scores.n == 15


def test_without_validation_the_checkpoints_say_it_too(tmp_path: Path) -> None:
    moved = Moved(tmp_path, validation=0)
    continued(moved.run, moved.config, moved.new)
    assert_at(moved.run, moved.new)
    assert_same_run(moved.run, moved.whole)


def assert_best_at(run: Path, folder: Path) -> None:
    best = load_checkpoint(run / "best.npz")
    assert best.state().best_epoch == 1
    assert trained_by(best).data.path == str(folder)


def test_the_best_checkpoint_says_it_even_if_no_later_epoch_is_better(moved: Moved) -> None:
    continued(moved.run, moved.config, moved.new, Stop(chunks=1))
    assert_best_at(moved.run, moved.new)


def test_data_that_are_gone_are_one_message_with_the_option(moved: Moved) -> None:
    before = content(moved.run)
    with pytest.raises(DataError, match="name it with --data-path DIR") as caught:
        resume(moved.run, moved.config)
    assert str(moved.old) in str(caught.value)
    assert content(moved.run) == before


@pytest.mark.parametrize("option", [True, False])
@pytest.mark.parametrize("name", ["a label", "two images swapped"])
def test_other_data_in_the_new_place_are_refused(name: str, option: bool, moved: Moved) -> None:
    change(moved.new, CHANGES[name])
    before = content(moved.run)
    file = "train-labels-idx1-ubyte" if name == "a label" else "train-images-idx3-ubyte"
    if option:
        with pytest.raises(DataError, match=f"{file} differs") as caught:
            continued(moved.run, moved.config, moved.new)
        assert f"was trained on ({moved.old})" in str(caught.value)
    else:
        with pytest.raises(ConfigError, match=f"differs .* in data.path, .*{file} differs"):
            resume(moved.run, settings(moved.new))
    assert content(moved.run) == before


def test_a_finished_run_is_found_finished_if_its_data_are_the_same(moved: Moved) -> None:
    link = moved.new.parent / "link"
    link.symlink_to(moved.new)
    before = content(moved.whole)
    assert continued(moved.whole, settings(moved.new), link) == []
    assert resume(moved.whole, settings(link)) == (True, [])
    (moved.whole / "last.npz").rename(moved.whole.parent / "last.npz")
    assert resume(moved.whole, settings(link))[0]
    (moved.whole.parent / "last.npz").rename(moved.whole / "last.npz")
    shutil.copytree(moved.new, moved.old)
    change(moved.old, CHANGES["a label"])
    with pytest.raises(ConfigError, match=r"data\.path, and its data are others"):
        resume(moved.whole, settings(moved.old))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte differs"):
        continued(moved.whole, moved.config, moved.old)
    assert content(moved.whole) == before


def test_a_kill_between_the_two_checkpoints_is_made_good(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, names = same_data.save_checkpoint, []

    def only_one(path: Path, *arguments: Any, **options: Any) -> None:
        names.append(path.name)
        if len(names) > 1:
            raise KeyboardInterrupt
        saved(path, *arguments, **options)

    monkeypatch.setattr(same_data, "save_checkpoint", only_one)
    with pytest.raises(KeyboardInterrupt):
        continued(moved.run, moved.config, moved.new)
    assert len(names) == 2
    monkeypatch.undo()
    continued(moved.run, moved.config, moved.new, Stop(chunks=1))
    assert_best_at(moved.run, moved.new)
    continued(moved.run, moved.config, moved.new)
    assert_at(moved.run, moved.new)
    assert_same_run(moved.run, moved.whole)


@pytest.mark.long
def test_a_run_without_data_of_its_own_has_no_other_place(tmp_path: Path) -> None:
    folder = write_own_images(tmp_path, 28, 28)
    drawn = from_dict(
        {"data": {"dataset": "synthetic"}, "model": {"hidden": []}, "training": {"epochs": 2}}, ""
    )
    resume(tmp_path / "run", drawn, Stop(epochs=1))
    with pytest.raises(ConfigError, match=r"differs from the run's in data\.path"):
        continued(tmp_path / "run", drawn, folder)


def test_a_run_that_is_not_there_begins_where_the_option_says(moved: Moved) -> None:
    run = moved.run.parent / "new"
    continued(run, moved.config, moved.new)
    assert_at(run, moved.new)
    assert_same_run(run, moved.whole)


def without_digests(run: Path) -> None:
    for path in run.glob("*.npz"):
        arrays, header = opened(path)
        del header["data"]["digests"]
        path.write_bytes(sealed(arrays, header))


def test_a_run_of_an_earlier_build_moves_only_if_the_user_says_so(moved: Moved) -> None:
    without_digests(moved.run)
    before = content(moved.run)
    with pytest.raises(ConfigError, match=r"data\.path.*no digests.*--data-path DIR"):
        resume(moved.run, settings(moved.new))
    assert content(moved.run) == before
    (warning,) = continued(moved.run, moved.config, moved.new)
    assert "last.npz holds no digests of its data" in warning
    assert_at(moved.run, moved.new)
    assert_same_run(moved.run, moved.whole)


@pytest.mark.parametrize("name", ["softmax-adam-float64", "hidden-momentum-float32"])
def test_a_checkpoint_of_the_first_format_is_continued_and_scored_elsewhere(
    name: str, tmp_path: Path
) -> None:
    write_data(tmp_path / "data")
    run = tmp_path / "run"
    run.mkdir()
    for kind in ("best", "last"):
        shutil.copy(FOLDER / f"{name}-{kind}.npz", run / f"{kind}.npz")
    config = trained_by(load_checkpoint(run / "last.npz"))
    (run / "config.yaml").write_text(dump_config(config))
    shutil.copy(FOLDER / "expected.json", run / "env.json")  # any JSON
    given: list[str] = []
    evaluate_checkpoints([run], "validation", tmp_path, tmp_path / "data", given.append)
    assert "best.npz holds no digests of its data" in given[0]
    training = config.training.model_copy(update={"epochs": 4})
    longer = config.model_copy(update={"training": training})
    warnings = continued(run, longer, tmp_path / "data")
    assert "last.npz holds no digests of its data" in warnings[0]
    assert json.loads((run / "result.json").read_text())["epochs"] == 4
    assert len(load_checkpoint(run / "last.npz").data().digests) == 2
    assert continued(run, load_config(run / "config.yaml", warn=[].append), None) == []


@pytest.mark.long
def test_the_commands_take_the_option(mlp: Mlp, moved: Moved) -> None:
    (moved.run.parent / "c.yaml").write_text(dump_config(moved.config))
    train = ["train", "c.yaml", "--out", "run", "--quiet"]
    gone = mlp("eval", "run", "--split", "train")
    assert gone.returncode == 3
    assert "name it with --data-path DIR" in gone.stderr
    scored = mlp("eval", "run", "--split", "train", "--data-path", "disk/own images", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["dataset"] == str(moved.new)
    for arguments in (train, [*train, "--overwrite"]):
        alone = mlp(*arguments, "--data-path", moved.new)
        assert alone.returncode == 2
        assert "--data-path needs --resume. For a new run: --set data.path=DIR." in alone.stderr
    absent = mlp(*train, "--resume", "--data-path", "nowhere")
    assert absent.returncode == 3
    assert f"{moved.run.parent / 'nowhere'}: there is no such file or folder" in absent.stderr
    surroundings = {"HOME": str(moved.new.parent), "MLP_KERNELS": "numpy"}
    done = mlp(*train, "--resume", "--data-path", "~/own images", **surroundings)
    assert done.returncode == 0, done.stderr
    assert_same_run(moved.run, moved.whole)
    assert mlp("eval", "run").returncode == 0


def test_python_takes_the_place_too(moved: Moved) -> None:
    silent = SilentObserver()
    with pytest.raises(MlpError, match=r"data_path needs resume"):
        train(moved.config, out=moved.run.parent / "x", data_path=moved.new, observer=silent)
    assert evaluate(moved.run, split="train", data_path=os.fspath(moved.new)).scores.n == 1485
    options: dict[str, Any] = {"resume": True, "data_path": moved.new, "kernels": "numpy"}
    run = train(moved.config, out=moved.run, observer=silent, **options)
    assert_same_run(run.path, moved.whole)
