"""Networks are compared on images that are fair to both, and the counts are those of the images."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlp_cli.api import train
from mlp_cli.data.dataset import load_dataset
from mlp_cli.errors import CheckpointError, DataError
from mlp_cli.inference.against import Difference, differences
from mlp_cli.inference.mcnemar import mcnemar
from mlp_cli.inference.model import load
from mlp_cli.training.observer import SilentObserver

Mlp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def trained(config: Path, tmp_path: Path) -> Callable[..., Path]:
    """Train a run of one epoch in a folder of this name, with changes."""

    def run(name: str, **changes: Any) -> Path:
        quick = {"training.epochs": 1, "optimizer.learning_rate": 1e-3}
        given = {key.replace("__", "."): value for key, value in changes.items()}
        out = tmp_path / "runs" / name
        return train(config, out=out, set={**quick, **given}, observer=SilentObserver()).path

    return run


def differ(reference: Path, *others: Path) -> list[Difference]:
    return differences(reference, others, Path("no data here"), pytest.fail)


def test_two_runs_of_one_seed_are_compared_on_the_validation_images(
    trained: Callable[..., Path],
) -> None:
    a, b = trained("a"), trained("b", model__hidden=[4])
    models = [load(a), load(b)]
    split = load_dataset(models[0].config, Path("none")).validation
    images, labels = split.images[split.rows], split.labels[split.rows]
    right = [model.predict(images) == labels for model in models]
    only_a, only_b = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    assert only_a != only_b
    (found,) = differ(a, b)
    assert found == ("validation", "", 100, only_a, only_b, mcnemar(only_a, only_b))
    assert found.error == pytest.approx(np.mean(~right[1]) - np.mean(~right[0]))
    (other_way,) = differ(b, a)
    assert (other_way.error, other_way.p) == (-found.error, found.p)


def test_runs_of_different_seeds_are_compared_on_the_test_set_if_both_may_see_it(
    trained: Callable[..., Path],
) -> None:
    a, b = trained("a"), trained("b", seed=1)
    closed, other = (trained(f"closed-{seed}", seed=seed, data__test=False) for seed in (2, 3))
    assert [each.images for each in differ(closed, other)] == [None]
    same, other = differ(a, b, closed)
    assert (same.images, same.n) == ("test", 150)
    assert (other.images, other.verdict) == (None, "not compared")
    assert "did not hold out the same validation images" in other.reason
    assert [each.images for each in differ(closed, a, b)] == [None, None]


def test_runs_that_hold_out_nothing_are_compared_on_the_test_set(
    trained: Callable[..., Path],
) -> None:
    a, b = (trained(name, data__validation=0, seed=0) for name in "ab")
    assert differ(a, b)[0].images == "test"


def test_a_test_set_is_not_read_if_the_validation_images_will_do(
    trained: Callable[..., Path], own_images: Callable[..., Path], config: Path
) -> None:
    a, b = trained("a"), trained("b", model__hidden=[4])
    (folder,) = config.parent.glob("own-*")
    for file in folder.glob("t10k*"):
        file.unlink()
    assert differ(a, b)[0].images == "validation"


def test_runs_on_other_data_are_not_compared(
    trained: Callable[..., Path], own_images: Callable[..., Path]
) -> None:
    a, b = trained("a"), trained("b", data__path=str(own_images(classes=9)))
    assert differ(a, b)[0].images is None


def test_a_run_without_a_good_checkpoint_is_not_compared_and_a_reference_is_an_error(
    trained: Callable[..., Path],
) -> None:
    a, b, c = trained("a"), trained("b"), trained("c")
    (b / "best.npz").write_bytes(b"torn")
    (c / "best.npz").unlink()
    damaged, missing = differ(a, b, c)
    assert (damaged.images, missing.images) == (None, None)
    assert "best.npz" in damaged.reason and "no best.npz" in missing.reason
    with pytest.raises(CheckpointError):
        differ(b, a)


def test_missing_data_are_an_error(trained: Callable[..., Path], config: Path) -> None:
    a, b = trained("a"), trained("b")
    (folder,) = config.parent.glob("own-*")
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataError):
        differ(a, b)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [((0, 0), "not distinguishable"), ((6, 0), "worse"), ((0, 6), "better"),
     ((5, 0), "not distinguishable")],
)  # fmt: skip
def test_the_verdict_is_in_words(counts: tuple[int, int], verdict: str) -> None:
    assert Difference("test", "", 100, *counts, mcnemar(*counts)).verdict == verdict


@pytest.mark.long
def test_the_command_says_which_images_and_the_verdict(
    mlp: Mlp, trained: Callable[..., Path], tmp_path: Path
) -> None:
    trained("a", training__epochs=3, optimizer__learning_rate=0.01)
    trained("same", training__epochs=3, optimizer__learning_rate=0.01, data__download=False)
    trained("bad", optimizer__learning_rate=1e-6)
    trained("other", seed=1, data__test=False)
    done = mlp("compare", "runs", "--against", "runs/a")
    assert (done.returncode, done.stderr) == (0, "")
    table = done.stdout[done.stdout.index("against runs/a, on the same 100 validation images:") :]
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in table.splitlines()[2:5]}
    assert rows["same"] == "+0.00 1 not distinguishable"
    assert rows["bad"].endswith("< 1e-06 worse")
    assert rows["other"] == "not compared"
    assert "not compared: the two did not hold out the same validation images" in table
    found = json.loads(mlp("compare", "runs", "--against", "runs/a", "--json").stdout)
    assert found["against"] == "runs/a"
    told = {line["run"]: line["difference"] for line in found["lines"]}
    assert told["runs/a"] is None
    assert told["runs/same"]["verdict"] == "not distinguishable"
    assert (told["runs/bad"]["images"], told["runs/bad"]["n"]) == ("validation", 100)
    assert told["runs/other"]["p"] is told["runs/other"]["error"] is None
    assert "|" in mlp("compare", "runs", "--against", "runs/a", "--markdown").stdout
    first, *others = mlp("compare", "runs/bad", "--against", "runs/a", "--csv").stdout.splitlines()
    assert "against_images,against_n,against_error" in first
    assert len(others) == 2  # the reference is in the table, too
