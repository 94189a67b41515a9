"""A network is scored on its own data, wherever they are, or a message says that it is not."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.changes import CHANGES, RESIZED, change, pack
from helpers.craft import opened, sealed
from helpers.own_images import write_own_images
from helpers.selection import few
from helpers.stand_ins import idx
from helpers.stopping import Stop, resume

from mlp_cli import evaluate
from mlp_cli.config.load import from_dict
from mlp_cli.config.schema import Config
from mlp_cli.data import mnist, synthetic
from mlp_cli.data.dataset import needed_files
from mlp_cli.data.idx import read_idx
from mlp_cli.errors import CheckpointError, ConfigError, DataError
from mlp_cli.inference.evaluate import Evaluation, evaluate_checkpoints

Mlp = Callable[..., subprocess.CompletedProcess[str]]


class Runs:
    """A run `run` on the data in `data`, and `copied`, the same run on a copy of them."""

    def __init__(self, parent: Path) -> None:
        self.parent, self.run, self.copied = parent, parent / "run", parent / "copied"
        self.data, self.copy = parent / "data", parent / "copy"
        write_own_images(parent, 4, 5, classes=3, train=60).rename(parent / "original")
        self.restore()
        for run, data in ((self.run, self.data), (self.copied, self.copy)):
            resume(run, self.config(data))

    def config(self, data: Path, **changes: object) -> Config:
        settings = {"data": {"path": str(data), "validation": 15}, "model": {"hidden": [5]}}
        return from_dict(settings | {"training": {"epochs": 2, "batch_size": 8}} | changes, "")

    def restore(self) -> None:
        for folder in (self.data, self.copy):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.parent / "original", folder)

    def score(
        self, split: str, *paths: Path, now: Path | None = None
    ) -> tuple[Evaluation, list[str]]:
        """Score runs, and return the warnings too."""
        warnings: list[str] = []
        found = evaluate_checkpoints(paths or [self.run], split, self.parent, now, warnings.append)
        return found, warnings


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def runs(shared: Runs) -> Runs:
    shared.restore()
    return shared


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("name", few([*CHANGES, *RESIZED], 2))
def test_changed_training_data_are_refused_for_the_splits_made_of_them(
    name: str, split: str, runs: Runs
) -> None:
    change(runs.data, (CHANGES | RESIZED)[name])
    with pytest.raises(DataError, match=r"are not the data that .*best.npz was trained") as caught:
        runs.score(split)
    assert "name their folder with --data-path DIR" in str(caught.value)
    assert str(runs.data) in str(caught.value)
    found, warnings = runs.score(split, now=runs.copy)
    assert (found.dataset, found.scores.n) == (str(runs.copy), 45 if split == "train" else 15)
    assert warnings == []


@pytest.mark.parametrize("name", few(CHANGES, 2))
def test_a_changed_test_set_is_scored_with_a_warning(name: str, runs: Runs) -> None:
    change(runs.data, CHANGES[name], "t10k")
    found, (warning,) = runs.score("test")
    assert found.scores.n == 15
    assert f"{runs.data}: the test set is not the one that was there when" in warning
    names = {"a label": "labels", "all labels": "labels"}
    assert f"t10k-{names.get(name, 'images')}-idx" in warning
    assert runs.score("validation")[1] == []


def test_a_test_set_may_also_grow(runs: Runs) -> None:
    change(runs.data, RESIZED["more images"], "t10k")
    found, (warning,) = runs.score("test")
    assert found.scores.n == 30
    assert "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte differ" in warning


def test_the_test_split_does_not_depend_on_the_training_images(runs: Runs) -> None:
    before = runs.score("test")[0].to_dict()
    change(runs.data, CHANGES["a pixel"])
    found, warnings = runs.score("test")
    assert (found.to_dict(), warnings) == (before, [])


def test_data_may_be_moved_linked_and_packed(runs: Runs) -> None:
    expected = {split: runs.score(split)[0].scores.confusion for split in ("test", "validation")}
    shutil.rmtree(runs.data)
    link = runs.parent / "link"
    if not link.exists():
        link.symlink_to(runs.copy)
    for packed in (False, True):
        if packed:
            pack(runs.copy)
        for split, confusion in expected.items():
            with pytest.raises(DataError, match="name it with --data-path DIR"):
                runs.score(split)
            for now in (runs.copy, link):
                found, warnings = runs.score(split, now=now)
                np.testing.assert_array_equal(found.scores.confusion, confusion)
                assert (found.dataset, warnings) == (str(now), [])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_committee_may_have_members_from_copies_of_the_data(split: str, runs: Runs) -> None:
    found, warnings = runs.score(split, runs.run, runs.copied)
    assert warnings == []
    one = runs.score(split)[0]
    np.testing.assert_array_equal(found.predictions, one.predictions)


def test_a_committee_of_members_from_other_data_in_one_folder_is_refused_or_warned_of(
    runs: Runs, tmp_path: Path
) -> None:
    change(runs.data, CHANGES["two images swapped"])
    resume(tmp_path / "other", runs.config(runs.data))
    for members in ((runs.run, tmp_path / "other"), (tmp_path / "other", runs.run)):
        with pytest.raises(ConfigError, match="held out different validation images"):
            runs.score("validation", *members)
        (warning,) = runs.score("test", *members)[1]
        assert f"different data: {runs.data} was changed in between." in warning
    change(runs.data, CHANGES["a label"], "t10k")
    _, (*warnings, _) = runs.score("test", runs.run, tmp_path / "other")
    assert [str(path) in warning for path, warning in zip(
        (runs.run, tmp_path / "other"), warnings, strict=True
    )] == [True, True]  # fmt: skip


def test_a_committee_of_another_seed_is_refused_still(runs: Runs, tmp_path: Path) -> None:
    resume(tmp_path / "seed", runs.config(runs.copy, seed=1))
    with pytest.raises(ConfigError, match="held out different validation images"):
        runs.score("train", runs.run, tmp_path / "seed")


def old(run: Path, to: Path) -> Path:
    """Return a copy of a run's best checkpoint as an earlier build wrote it."""
    arrays, header = opened(run / "best.npz")
    del header["data"]["digests"]
    to.write_bytes(sealed(arrays, header))
    return to


def test_a_checkpoint_without_digests_is_scored_as_before(runs: Runs, tmp_path: Path) -> None:
    first, second = old(runs.run, tmp_path / "1.npz"), old(runs.copied, tmp_path / "2.npz")
    for split in ("train", "validation", "test"):
        assert runs.score(split, first)[1] == []
        assert runs.score(split, first, runs.run)[1] == []
    with pytest.raises(ConfigError, match="held out different validation images"):
        runs.score("validation", first, second)  # only the names are known
    change(runs.data, CHANGES["all labels"])
    assert runs.score("validation", first)[0].accuracy < 0.5
    assert runs.score("test", first, now=runs.copy)[1] == []
    _, (warning,) = runs.score("validation", first, now=runs.copy)
    assert "1.npz holds no digests of its data" in warning
    change(runs.copy, RESIZED["a class more"])
    with pytest.raises(DataError, match="there are 4 classes, not 3"):
        runs.score("train", first, now=runs.copy)


@pytest.mark.parametrize(
    "digests", [None, [], "", 5, {"train-images-idx3-ubyte": 5}, {"train-labels-idx1-ubyte": {}}]
)
def test_digests_that_the_program_never_writes_are_one_message(
    digests: object, runs: Runs, tmp_path: Path
) -> None:
    arrays, header = opened(runs.run / "best.npz")
    header["data"]["digests"] = digests
    (tmp_path / "odd.npz").write_bytes(sealed(arrays, header))
    with pytest.raises((CheckpointError, DataError), match=r"has digests = |ubyte differs"):
        runs.score("validation", tmp_path / "odd.npz")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the digits that the program draws."""
    settings = {"data": {"dataset": "synthetic"}, "model": {"hidden": []}}
    run = tmp_path_factory.mktemp("drawn") / "run"
    resume(run, from_dict(settings | {"training": {"epochs": 2}}, ""), Stop(epochs=1))
    return run


@pytest.mark.long
def test_the_drawn_digits_may_come_from_files(drawn: Path, tmp_path: Path) -> None:
    for file, array in zip(needed_files(True), synthetic.draw_digits(), strict=True):
        (tmp_path / file.name).write_bytes(idx(array))
    for split in ("test", "validation", "train"):
        named = evaluate(drawn, split=split)
        found = evaluate(drawn, split=split, data_path=tmp_path)  # a warning would be an error
        np.testing.assert_array_equal(found.confusion, named.confusion)


def test_a_network_may_be_scored_on_a_test_set_of_the_users_own(
    drawn: Path, tmp_path: Path
) -> None:
    folder = write_own_images(tmp_path, 28, 28)
    with pytest.warns(UserWarning, match="the test set is not the one that was there"):
        assert evaluate(drawn, data_path=folder).scores.n == 150
    with pytest.raises(DataError, match=r"best.npz was trained on \(synthetic\)"):
        evaluate(drawn, split="validation", data_path=folder)


@pytest.mark.long
def test_the_command_warns_on_stderr_alone(mlp: Mlp, runs: Runs) -> None:
    change(runs.data, CHANGES["a label"], "t10k")
    done = mlp("eval", runs.run, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["n"] == 15
    assert done.stderr.startswith(f"WARNING: {runs.data}: the test set is not the one")
    assert done.stderr.count("\n") == 1
    change(runs.data, CHANGES["a label"])
    refused = mlp("eval", runs.run, "--split", "validation")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith(f"Error: {runs.data}: these are not the data that")


@pytest.mark.long
def test_mnist_is_known_again_in_a_folder_of_ones_own(mnist_source: Path, tmp_path: Path) -> None:
    (tmp_path / "mnist").symlink_to(mnist_source)
    config = from_dict({"model": {"hidden": []}, "training": {"epochs": 1}}, "")
    resume(tmp_path / "run", config)
    for split in ("test", "validation"):
        named = evaluate(tmp_path / "run", split=split, data_dir=tmp_path)
        own = evaluate(tmp_path / "run", split=split, data_path=mnist_source)
        np.testing.assert_array_equal(named.confusion, own.confusion)
    (tmp_path / "own").mkdir()
    for file in needed_files(True):
        path = mnist.find(mnist_source, file)
        assert path is not None
        array = read_idx(path, ndim=3 if "images" in file.name else 1)
        (tmp_path / "own" / file.name).write_bytes(idx(array))
    change(tmp_path / "own", CHANGES["a pixel"])
    with pytest.raises(DataError, match="train-images-idx3-ubyte differs"):
        evaluate(tmp_path / "run", split="validation", data_path=tmp_path / "own")
