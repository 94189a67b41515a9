"""A comparison is drawn, and says what is left out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.written_runs import write_run

Mlp = Callable[..., subprocess.CompletedProcess[str]]
needs_plot = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra `plot`")
needs_sweep = pytest.mark.skipif(find_spec("optuna") is None, reason="needs the extra `sweep`")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder of 12 runs whose error depends on the learning rate alone."""
    for number in range(12):
        changes = {
            "optimizer.learning_rate": 0.001 * 2**number,
            "model.hidden": [4, 8][: 1 + number % 2],
            "training.patience": 3 if number % 3 else None,
        }
        accuracy = 0.95 - 0.01 * abs(number - 6)
        write_run(tmp_path / "runs" / f"r{number}", changes, val_accuracy=accuracy)
    return tmp_path / "runs"


def panels(picture: Path) -> int:
    """Count the panels of a picture by its height."""
    from matplotlib.image import imread

    height, width = imread(picture).shape[:2]
    return round(height / width * 9.0 / 3.2)


@needs_plot
@pytest.mark.skipif(find_spec("optuna") is not None, reason="Optuna is installed")
def test_without_optuna_a_message_names_the_extra_and_the_rest_is_drawn(
    mlp: Mlp, runs: Path, tmp_path: Path
) -> None:
    done = mlp("compare", "runs", "--plot", "p.png")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "WARNING: which key mattered is not drawn: it needs the extra `sweep`: "
        "pip install 'mlp-cli[sweep]'\n"
    )
    assert panels(tmp_path / "p.png") == 2


@needs_plot
@needs_sweep
def test_the_key_that_mattered_is_drawn(mlp: Mlp, runs: Path, tmp_path: Path) -> None:
    done = mlp("compare", "runs", "--plot", "p.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert panels(tmp_path / "p.png") == 3


@needs_plot
@needs_sweep
def test_too_few_runs_have_no_importance(mlp: Mlp, runs: Path, tmp_path: Path) -> None:
    done = mlp("compare", "runs/r1", "runs/r2", "--plot", "p.svg")
    assert done.returncode == 0
    assert "which key mattered is not drawn: it takes 10 finished lines" in done.stderr
    assert "</svg>" in (tmp_path / "p.svg").read_text()


@needs_plot
def test_a_single_run_and_one_without_figures_are_drawn(mlp: Mlp, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", {"data.validation": 0}, val_accuracy=None)
    done = mlp("compare", "runs", "--plot", "p.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert panels(tmp_path / "p.png") == 1


@needs_plot
def test_a_name_that_is_no_formula_and_in_no_font_is_drawn(mlp: Mlp, tmp_path: Path) -> None:
    for name in ("a$\\frac$", "\U000132f9"):
        write_run(tmp_path / "runs" / name, {"data.path": f"/{name}"})
    done = mlp("compare", "runs", "--plot", "p.png")
    assert done.returncode == 0, done.stderr
    assert "Glyph" not in done.stderr
    assert panels(tmp_path / "p.png") == 2


@needs_plot
def test_a_picture_that_cannot_be_written_is_one_message(mlp: Mlp, runs: Path) -> None:
    done = mlp("compare", "runs", "--plot", "none/p.png")
    assert (done.returncode, done.stdout) == (7, "")
    assert "cannot write none/p.png" in done.stderr
    assert "Traceback" not in done.stderr


@needs_sweep
def test_the_importance_is_that_of_the_key_on_which_the_error_depends() -> None:
    from mlp_cli.reports.importance import importances

    settings = [{"rate": 0.001 * 1.3**n, "odd": str(n % 2), "same": 1} for n in range(40)]
    shares = importances(settings, [0.1 + 0.01 * n for n in range(40)])
    assert shares is not None
    assert list(shares) == ["rate", "odd"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["rate"] > 0.8
    assert importances(settings[:9], [0.1] * 9) is None


def test_a_scale_is_logarithmic_if_the_values_spread_widely() -> None:
    from mlp_cli.reports.importance import is_logarithmic, is_numeric

    assert is_logarithmic([0.001, 0.1]) and not is_logarithmic([1, 5])
    assert not is_logarithmic([0, 100])
    assert is_numeric([1, 0.5]) and not is_numeric([True, 1]) and not is_numeric(["1"])
