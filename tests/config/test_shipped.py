"""The shipped configurations lie in every wheel and are found by name."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlp_cli.config.load import load_config
from mlp_cli.config.shipped import find_config, shipped_configs
from mlp_cli.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["mnist", "mnist.yaml", "recipes/record", "recipes/record.yaml"])
def test_a_shipped_configuration_is_found_by_its_name(name: str) -> None:
    assert find_config(Path(name)) == CONFIGS / f"{name.removesuffix('.yaml')}.yaml"


@pytest.mark.parametrize("name", ["mnist", "mnist.yaml", "other.yaml"])
def test_a_file_is_preferred_to_a_shipped_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("seed: 7\n")
    assert find_config(Path(name)) == Path(name)


def test_a_folder_does_not_hide_a_shipped_name(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "runs").mkdir()
    assert find_config(Path("mnist")) == CONFIGS / "mnist.yaml"
    with pytest.raises(ConfigError, match="runs: a folder or device"):
        load_config(find_config(Path("runs")))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("minst", " Did you mean mnist?"),
        ("minst.yaml", " Did you mean mnist?"),
        ("configs/mnist.yaml", " Did you mean mnist?"),
        ("record", " Did you mean recipes/record or "),
        ("lecun-300-100x", " Did you mean lecun-300-100 or recipes/lecun-300-100 or "),
        ("zzz", "of that name. `mlp config list`"),
        ("../configs/mnist", "Did you mean mnist?"),
        (str(CONFIGS / "mnist"), "Did you mean mnist?"),
        ("x" * 200, "of that name. `mlp config list`"),
        ("\0", "of that name. `mlp config list`"),
    ],
)
def test_the_message_for_an_unknown_name_suggests_similar_names(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(Path(name))
    message = str(caught.value)
    assert message.startswith(f"{name}: there is no such file, and no shipped configuration")
    assert meant in message
    assert message.endswith("`mlp config list` shows the shipped ones.")


def test_every_configuration_of_the_repository_is_listed_with_one_sentence() -> None:
    found = shipped_configs()
    assert {each.path for each in found} == set(CONFIGS.rglob("*.yaml"))
    assert [each.name for each in found if "/" not in each.name] == [
        "emnist-letters", "fashion", "lecun-300-100", "mnist",
        "nielsen", "own-pictures", "quickstart", "softmax",
    ]  # fmt: skip
    assert ["/" in each.name for each in found] == sorted("/" in each.name for each in found)
    for name, description, path in found:
        assert path.read_text().startswith(f"# {description}\n"), name
        assert description.endswith("."), name
        assert 20 < len(description) <= 80, name


def test_pyproject_names_every_package() -> None:
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    modules = (ROOT / "mlp_cli").rglob("*.py")
    folders = {".".join(module.parent.relative_to(ROOT).parts) for module in modules}
    assert set(packed) == folders | {"mlp_cli.config.configs"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `mlp` installed from a wheel, with the dependencies of the running interpreter."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # because building leaves files beside the sources
    for name in ("mlp_cli", "configs"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode and "No matching distribution found for setuptools" in built.stderr:
        pytest.skip(f"needs a package index to build a wheel: {built.stderr[-300:]}")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True
    )
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    shutil.rmtree(source)
    return folder / "venv" / "bin" / "mlp"


@pytest.mark.nightly
def test_an_installed_wheel_trains_a_shipped_configuration(installed: Path, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def mlp(*arguments: str) -> str:
        done = subprocess.run(
            [installed, *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = json.loads(mlp("config", "list", "--json"))
    assert [entry["name"] for entry in listed] == [each.name for each in shipped_configs()]
    for entry in listed:
        path = Path(entry["path"])
        assert path.is_relative_to(installed.parents[1])
        assert path.read_text() == (CONFIGS / f"{entry['name']}.yaml").read_text()
    offline = ["--set", "data.download=false", "--set", "training.epochs=1"]
    assert mlp("train", "quickstart", *offline).endswith("\nruns/quickstart-1\n")
    assert (tmp_path / "runs" / "quickstart-1" / "result.json").is_file()
