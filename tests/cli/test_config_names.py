"""The configuration on the command line: an argument, an option, or a shipped name."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

import mlp_cli

Mlp = Callable[..., subprocess.CompletedProcess[str]]
CONFIGS = Path(__file__).parents[2] / "configs"


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr.splitlines()[-1]


@pytest.mark.long
def test_an_argument_does_the_same_as_the_option(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    same = ("--set", "training.epochs=1", "--quiet")
    for number, given in enumerate([(config,), ("--config", config)], 1):
        done = mlp("train", *given, *same)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"runs/small-{number}"
    one, other = (tmp_path / "runs" / f"small-{number}" / "config.yaml" for number in (1, 2))
    assert one.read_text() == other.read_text()
    checked = [
        json.loads(mlp("gradcheck", *given, "--json", MLP_KERNELS="numpy").stdout)
        for given in [(config,), ("--config", config)]
    ]
    assert checked[0]["layers"] == checked[1]["layers"]


@pytest.mark.long
@pytest.mark.parametrize("command", ["train", "gradcheck", "config preview"])
def test_two_configurations_are_refused(command: str, mlp: Mlp, config: Path) -> None:
    picture = ("p.png",) if command == "config preview" else ()
    done = mlp(*command.split(), "mnist", *picture, "--config", config)
    message = f"Error: Two configurations are given: mnist and --config {config}. Give one."
    assert refusal(done) == message


@pytest.mark.long
def test_a_preview_takes_one_configuration_and_one_picture(mlp: Mlp, config: Path) -> None:
    for given in [(config, "p.gif"), ("--config", config, "p.gif"), ("p.gif", "--config", config)]:
        assert "p.gif: " in refusal(mlp("config", "preview", *given))
    message = refusal(mlp("config", "preview", config, "p.png", "q.png"))
    assert message == "Error: Give one configuration and one picture."


@pytest.mark.long
def test_a_run_of_a_shipped_configuration_has_its_name(mlp: Mlp) -> None:
    small = ("--set", "data.dataset=synthetic", "--set", "training.epochs=1", "--quiet")
    done = mlp("train", "recipes/linear", *small)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "runs/linear-1"
    assert mlp("train", "--config", "softmax.yaml", *small).stdout.endswith("\nruns/softmax-1\n")


def test_a_fault_in_a_shipped_configuration_names_its_file(mlp: Mlp) -> None:
    done = mlp("train", "recipes/record", "--set", "optimizer.name=adam")
    assert "optimizer.nesterov" in refusal(done)
    # The first line, two faults, and two values that stay.
    assert done.stderr.count(f"{CONFIGS / 'recipes' / 'record.yaml'}:") == 5


def test_the_message_for_a_misspelt_name_is_one_line(mlp: Mlp) -> None:
    done = mlp("train", "minst")
    assert refusal(done).startswith("Error: minst: there is no such file")
    assert done.stderr.count("\n") == 1
    assert "Did you mean mnist?" in done.stderr


def test_the_list_is_aligned_and_agrees_with_its_json(mlp: Mlp) -> None:
    listed = json.loads(mlp("config", "list", "--json").stdout)
    assert {"name", "description", "path"} == set().union(*listed)
    lines = mlp("config", "list").stdout.splitlines()
    assert len(lines) == len(listed)
    column = max(len(entry["name"]) for entry in listed) + 2
    for line, entry in zip(lines, listed, strict=True):
        assert line[:column].rstrip() == entry["name"]
        assert line[column:] == entry["description"]
        assert Path(entry["path"]).is_file()


@pytest.mark.parametrize("kernels", ["", "numpy", "fast", "wrong"])
def test_the_version_names_python_numpy_and_the_kernels(kernels: str, mlp: Mlp) -> None:
    expected = "numpy"
    if find_spec("numba") is not None and kernels != "numpy":
        expected = f"numba {metadata.version('numba')}"
    done = mlp("--version", MLP_KERNELS=kernels)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"mlp {mlp_cli.__version__} (Python {platform.python_version()}, "
        f"NumPy {metadata.version('numpy')}, kernels: {expected})\n"
    )


@pytest.mark.parametrize("arguments", [["--version"], ["config", "list"], ["train", "--help"]])
def test_version_list_and_help_load_no_large_library(arguments: list[str], mlp: Mlp) -> None:
    done = mlp(*arguments, PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"click", "mlp_cli.cli.main"} <= loaded
    assert not {"numpy", "numba", "requests", "pydantic", "tqdm"} & loaded
