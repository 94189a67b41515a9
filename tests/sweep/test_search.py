"""TPE and CMA-ES: values by Optuna from the folders, and searches that do without it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers.sweeps import ROOT, run, write_sweep

from mlp_cli.sweep.folder import SweepFolder
from mlp_cli.sweep.history import History
from mlp_cli.sweep.reading import read_sweep
from mlp_cli.sweep.search import Searcher

Images = Callable[..., Path]

CONDITIONAL = """\
search:
  optimizer.name: [sgd, adam]
  optimizer.learning_rate: {low: 1e-4, high: 1.0, log: true}
  optimizer.momentum: {low: 0.0, high: 0.95, if: {optimizer.name: sgd}}
  model.hidden: [[4], [8, 4]]
  regularisation.dropout: {low: 0.0, high: 0.45, step: 0.1}
  training.batch_size: {low: 16, high: 64, log: true}
"""
RANGES = """\
search:
  optimizer.learning_rate: {low: 1e-3, high: 1.0, log: true}
  optimizer.momentum: {low: 0.0, high: 0.95}
"""

needs_optuna = pytest.mark.skipif(
    find_spec("optuna") is None or find_spec("cmaes") is None, reason="needs the extra `sweep`"
)


def values(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("trials/*/values.json"))]


@needs_optuna
@pytest.mark.parametrize(("method", "space"), [("tpe", CONDITIONAL), ("cmaes", RANGES)])
def test_a_search_trains_trials_within_its_space(
    method: str, space: str, tmp_path: Path, own_images: Images
) -> None:
    text = f"{space}method: {method}\ntrials: 14\n"
    file, out = write_sweep(tmp_path, own_images(), text, epochs=1), tmp_path / "out"
    done = run(file, "--out", out)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "result.json").read_text())["finished"] == 14
    dimensions = read_sweep(file).space.dimensions
    for chosen in values(out):
        applied = [dimension for dimension in dimensions if dimension.applies(chosen)]
        assert list(chosen) == [dimension.key for dimension in applied]
        for dimension in applied:
            domain, value = dimension.domain, chosen[dimension.key]
            grid = domain.grid
            assert value in grid if grid else domain.low <= value <= domain.high  # type: ignore[union-attr]


@needs_optuna
def test_what_is_asked_depends_on_the_folders_alone(tmp_path: Path, own_images: Images) -> None:
    text = f"{CONDITIONAL}method: tpe\ntrials: 13\n"
    file, out = write_sweep(tmp_path, own_images(), text, epochs=1), tmp_path / "out"
    run(file, "--out", out, "--jobs", 1)
    for number in (11, 12):
        before = values(out)[number]
        shutil.rmtree(out / f"trials/{number:05}")
        history = History(read_sweep(file), SweepFolder(out))
        assert Searcher(history).ask(number) == before
        (out / f"trials/{number:05}").mkdir()
        (out / f"trials/{number:05}/values.json").write_text(json.dumps(before))
        assert run(file, "--out", out, "--jobs", 1).returncode == 0


@needs_optuna
def test_a_trial_that_was_chosen_and_not_begun_is_trained(
    tmp_path: Path, own_images: Images
) -> None:
    text = f"{CONDITIONAL}method: tpe\ntrials: 2\n"
    file, out = write_sweep(tmp_path, own_images(), text, epochs=1), tmp_path / "out"
    run(file, "--out", out)
    before = values(out)
    shutil.rmtree(out / "trials/00001/seed-0")
    assert run(file, "--out", out).returncode == 0
    assert values(out) == before
    assert (out / "trials/00001/seed-0/result.json").exists()


@pytest.fixture
def without_optuna(tmp_path: Path) -> dict[str, str]:
    """An environment in which Optuna cannot be imported."""
    for name in ("optuna", "cmaes"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "__init__.py").write_text("raise RuntimeError\n")
    return {**os.environ, "PYTHONPATH": f"{tmp_path / 'broken'}:{ROOT}"}


def test_grid_and_random_do_without_optuna(
    tmp_path: Path, own_images: Images, without_optuna: dict[str, str]
) -> None:
    images = own_images()
    file = write_sweep(tmp_path, images, f"{RANGES}method: random\ntrials: 2\n", epochs=1)
    assert run(file, "--out", tmp_path / "a", env=without_optuna).returncode == 0


@pytest.mark.skipif(find_spec("optuna") is not None, reason="Optuna is installed here")
def test_a_missing_extra_is_named_before_anything_is_made(
    tmp_path: Path, own_images: Images
) -> None:
    file = write_sweep(tmp_path, own_images(), f"{RANGES}method: tpe\ntrials: 2\n")
    done = run(file, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "pip install 'mlp-cli[sweep]'" in done.stderr
    assert not (tmp_path / "out").exists()
