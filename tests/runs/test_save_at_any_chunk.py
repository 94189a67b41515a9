"""A save after any chunk leads to the files that a later save leads to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from helpers.networks import KERNELS
from helpers.own_images import write_own_images
from helpers.runs import assert_equal_position, assert_same_run
from helpers.selection import few
from helpers.stopping import Stop, resume

from mlp_cli.compute.kernels import Kernels, NumPyKernels
from mlp_cli.config.load import from_dict
from mlp_cli.runs import saver
from mlp_cli.storage import checkpoint

# Two chunks an epoch, or one if a batch is the whole epoch.
CONFIGURATIONS: list[dict[str, Any]] = [
    {"data": {"validation": 0}, "training": {"epochs": 1}},
    {"data": {"validation": 0}, "training": {"epochs": 2}},
    {"data": {"validation": 0}, "training": {"epochs": 2, "batch_size": 1500}},
    {"data": {"validation": 0}, "regularisation": {"average": 1}, "training": {"epochs": 1}},
    {"training": {"epochs": 1}},
    {"training": {"epochs": 3}},
    {"training": {"epochs": 9, "patience": 1}, "optimizer": {"learning_rate": 1e-9}},
    {
        "model": {"batch_norm": True},
        "regularisation": {"average": 0.5, "dropout": 0.2},
        "training": {"epochs": 2, "patience": 2},
    },
]


class Killed(Exception):  # noqa: N818 - it is no error
    pass


def save_at(monkeypatch: pytest.MonkeyPatch, *, every_chunk: bool, kill: int = -1) -> None:
    """Save after every chunk or at the end only, and end the training after so many saves."""
    monkeypatch.setattr(saver, "LONGEST", 0 if every_chunk else math.inf)
    monkeypatch.setattr(saver, "SHARE", 0 if every_chunk else 1e9)
    left = kill

    def save_checkpoint(path: Path, *arguments: Any, **options: Any) -> None:
        nonlocal left
        checkpoint.save_checkpoint(path, *arguments, **options)
        left -= path.name == "last.npz"
        if left == 0:
            raise Killed

    monkeypatch.setattr(saver, "save_checkpoint", save_checkpoint)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_images(tmp_path_factory.mktemp("images"), 4, 5, classes=3, train=1550)


@pytest.mark.long
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("settings", few(CONFIGURATIONS, 3))
def test_saves_after_every_chunk_and_at_the_end_lead_to_the_same_run(
    settings: dict[str, Any],
    kernels: type[Kernels],
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = {"path": str(images), "validation": 50} | settings.get("data", {})
    training = {"batch_size": 60} | settings["training"]
    model = {"hidden": [5]} | settings.get("model", {})
    config = from_dict({**settings, "data": data, "model": model, "training": training}, "the test")
    fast = kernels is not NumPyKernels

    def train(name: str, stop: Stop) -> bool:
        finished, warnings = resume(tmp_path / name, config, stop, fast=fast)
        # Some of these networks train too little to be better than chance.
        assert [warning for warning in warnings if "at chance" not in warning] == []
        return finished

    save_at(monkeypatch, every_chunk=False)
    assert train("straight", Stop())
    save_at(monkeypatch, every_chunk=True)
    assert train("often", Stop())
    assert_same_run(tmp_path / "straight", tmp_path / "often")
    assert_equal_position(tmp_path / "straight", tmp_path / "often")

    for number in range(1, 100):
        name = f"stopped-{number}"
        save_at(monkeypatch, every_chunk=True)
        finished = train(name, Stop(chunks=number))
        save_at(monkeypatch, every_chunk=False)
        assert train(name, Stop())
        assert_same_run(tmp_path / "straight", tmp_path / name)
        assert_equal_position(tmp_path / "straight", tmp_path / name)
        if finished:
            break
    for number in range(1, 100):
        name = f"killed-{number}"
        save_at(monkeypatch, every_chunk=True, kill=number)
        try:
            finished = train(name, Stop())
        except Killed:
            finished = False
        save_at(monkeypatch, every_chunk=False)
        assert train(name, Stop())
        assert_same_run(tmp_path / "straight", tmp_path / name)
        assert_equal_position(tmp_path / "straight", tmp_path / name)
        if finished:
            break
    assert number > 2
