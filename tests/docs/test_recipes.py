"""The shipped configurations are right, and the results are those of the runs beside them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from helpers.documents import README, ROOT

from mlp_cli.config.load import load_config
from mlp_cli.config.schema import DistortionConfig

CONFIGS = sorted((ROOT / "configs").glob("**/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_right_and_says_what_it_shows(path: Path) -> None:
    load_config(path)
    comment = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    assert comment[0].endswith((".", ":", ",")) or len(comment) > 1
    # A recipe says whose network it is, and what they had.
    expected = "% errors" if path.parent.name == "recipes" else "hows"
    assert any(expected in line for line in comment)


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """The script that makes the tables of results."""
    spec = spec_from_file_location("results", ROOT / "scripts" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["results"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_and_recipes_hold_the_results_of_the_runs(results: ModuleType) -> None:
    files = results.updated()
    assert len(files) > 1
    for path, text in files.items():
        assert path.read_text() == text, f"{path}: run scripts/results.py"


def test_the_readme_holds_the_results_of_the_runs(results: ModuleType) -> None:
    pattern = r"([\d.]+) % after (\d+)\sminutes?[^(]*\(`([\w-]+)`\)"
    found = re.findall(pattern, README.read_text())
    assert len(found) == 4
    for error, minutes, recipe in found:
        figures = results.Figures.read(recipe)
        assert len(figures.seeds) >= 3
        assert error == f"{figures.median:.2f}"
        assert minutes == str(round(float(figures.time)))


@pytest.mark.parametrize(
    "run",
    sorted(result.parent for result in (ROOT / "results").glob("*/*/result.json")),
    ids=lambda run: f"{run.parent.name}-{run.name}",
)
def test_a_run_behind_a_result_is_its_recipe_s(run: Path) -> None:
    recipe = ROOT / "configs" / "recipes" / f"{run.parent.name}.yaml"
    # The runs of `views` rounded the factors of products, which an earlier version could do.
    changes = ["training.dtype=float32"] if run.parent.name == "views" else []
    trained = load_config(run / "config.yaml", changes)
    assert trained == load_config(recipe, [f"seed={run.name}"])
    assert trained.data.test
    metrics = (run / "metrics.jsonl").read_text().splitlines()
    assert len(metrics) == json.loads((run / "result.json").read_text())["epochs"]


@pytest.mark.parametrize(
    "recipe",
    sorted((ROOT / "configs" / "recipes").glob("*-undistorted.yaml")),
    ids=lambda recipe: recipe.stem,
)
def test_an_undistorted_recipe_differs_by_its_distortions_only(recipe: Path) -> None:
    partner = load_config(recipe.with_name(recipe.name.replace("-undistorted", "")), [])
    assert not partner.distortion.is_none
    undistorted = partner.model_copy(update={"distortion": DistortionConfig()})
    assert load_config(recipe, []) == undistorted


@pytest.mark.long
def test_a_result_is_repeated_beside_the_kept_ones(mnist_source: Path, tmp_path: Path) -> None:
    (tmp_path / "mlp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlp_cli "$@"\n')
    (tmp_path / "mlp").chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MLP_MIRROR": str(mnist_source),
        "MLP_KERNELS": "numpy",
    }

    def run(*command: object) -> str:
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert re.search(r"^ +linear +\d+\.\d$", run(ROOT / "scripts" / "recipe.sh", "--help"), re.M)
    run(ROOT / "scripts" / "recipe.sh", "linear", 0)
    assert (tmp_path / "runs" / "linear" / "0" / "best.npz").exists()
    (row,) = run(sys.executable, ROOT / "scripts" / "results.py", "runs").splitlines()[2:]
    kept = json.loads((ROOT / "results" / "linear" / "0" / "result.json").read_text())
    error = float(row.split("|")[3])
    assert error == pytest.approx(kept["test_errors"] / 100, abs=0.2)  # another machine rounds
