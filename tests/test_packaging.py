"""What is published: the wheel and the source distribution, their metadata, and the workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import pytest
import yaml
from helpers.documents import DOCS, blocks, first_column
from packaging.requirements import Requirement

import mlp_cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDS_DEV = "needs the group dev: pip install --group dev"
NAME = f"mlp_cli-{mlp_cli.__version__}"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

# Extras that `all` leaves out, with the reason.
LEFT_OUT = {
    "all": "it is itself",
    "mkl": "it is large, and serves Intel's processors on Linux alone",
    "test": "it is for those who work on the program",
}


class Built(NamedTuple):
    """A source distribution, the wheel made from it, and the wheel made from the checkout."""

    source: Path
    wheel: Path
    direct: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build a copy of the checkout, as building leaves files behind."""
    for tool in ("build", "setuptools"):
        pytest.importorskip(tool, reason=NEEDS_DEV)
    folder = tmp_path_factory.mktemp("built")
    checkout = folder / "checkout"
    for name in ("benchmarks", "configs", "docs", "mlp_cli", "results", "scripts", "tests"):
        shutil.copytree(ROOT / name, checkout / name)
    for path in ROOT.glob("[!.]*.*"):
        if path.is_file():
            shutil.copy(path, checkout)
    shutil.copy(ROOT / "LICENSE", checkout)
    (checkout / "mlp_cli" / "__pycache__").mkdir(exist_ok=True)
    (checkout / "mlp_cli" / "__pycache__" / "old.pyc").touch()
    for out, options in (("dist", []), ("direct", ["--wheel"])):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "build", "--no-isolation", *options),
                *("--outdir", folder / out, checkout),
            ],
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stdout + done.stderr
    wheel = f"{NAME}-py3-none-any.whl"
    return Built(
        folder / "dist" / f"{NAME}.tar.gz", folder / "dist" / wheel, folder / "direct" / wheel
    )


def package_files() -> Iterator[str]:
    """Yield the files of the package, by their names in a wheel."""
    for top, place in (("mlp_cli", "mlp_cli"), ("configs", "mlp_cli/config/configs")):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{place}/{path.relative_to(ROOT / top).as_posix()}"


@pytest.mark.long
def test_the_wheel_has_every_file_of_the_package_and_nothing_else(built: Built) -> None:
    about = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt")
    with ZipFile(built.wheel) as wheel:
        names = wheel.namelist()
    assert sorted(names) == sorted(
        [*package_files(), *(f"{NAME}.dist-info/{name}" for name in about)]
    )


@pytest.mark.long
def test_the_source_distribution_has_what_builds_the_same_wheel(built: Built) -> None:
    assert built.wheel.read_bytes() == built.direct.read_bytes()
    with tarfile.open(built.source) as source:
        paths = [Path(name).relative_to(NAME) for name in source.getnames() if name != NAME]
    assert {path.parts[0] for path in paths} == {
        *("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md"),
        *("configs", "mlp_cli", "mlp_cli.egg-info", "pyproject.toml", "setup.cfg"),
    }
    assert not [path for path in paths if path.suffix == ".pyc"]


@pytest.mark.long
def test_the_readme_renders_on_the_page_of_a_project(built: Built) -> None:
    for tool in ("twine", "comrak"):  # the second renders Markdown; twine only warns without it
        pytest.importorskip(tool, reason=NEEDS_DEV)
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", built.source, built.wheel],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.long
def test_the_metadata_are_complete(built: Built) -> None:
    with ZipFile(built.wheel) as wheel:
        metadata = message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))
    assert metadata["Version"] == mlp_cli.__version__
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["License-Expression"] == PROJECT["license"]
    assert metadata["Author"] == PROJECT["authors"][0]["name"]
    assert metadata["Keywords"].split(",") == PROJECT["keywords"]
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]
    assert set(metadata.get_all("Provides-Extra") or ()) == set(EXTRAS)


@pytest.mark.long
def test_the_wheel_works_alone(built: Built, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=os.name != "nt")
    python = next((tmp_path / "env").glob("[bS]*/python*"))
    install = ("install", "--no-index", "--no-deps", "--quiet", built.wheel)
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    (packages,) = (tmp_path / "env").rglob("site-packages")
    # What it depends on, but not the installed mlp: that of the environment comes first.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: object) -> str:
        return subprocess.run(
            [*map(str, command)],
            cwd=tmp_path,
            env={**environ, "MLP_KERNELS": "numpy"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    (mlp,) = python.parent.glob("mlp*")
    where = "import mlp_cli; print(mlp_cli.__file__)"
    assert Path(run(python, "-c", where).strip()).is_relative_to(packages)
    assert (packages / "mlp_cli" / "py.typed").exists()
    listed = json.loads(run(mlp, "config", "list", "--json"))
    configs = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    assert {found["name"] for found in listed} == {
        path.with_suffix("").as_posix() for path in configs
    }
    drawn = ("--set", "data.dataset=synthetic", "--set", "training.epochs=1")
    assert run(mlp, "train", "quickstart", *drawn, "--out", "run", "--quiet").endswith("run\n")
    assert json.loads(run(mlp, "eval", "run", "--json"))["accuracy"] > 0.5


@pytest.mark.long
def test_uvx_runs_the_wheel(built: Built) -> None:
    pytest.importorskip("uv", reason=NEEDS_DEV)
    done = subprocess.run(
        [sys.executable, "-m", "uv", "tool", "run", "--from", built.wheel, "mlp", "--version"],
        env={**os.environ, "UV_PYTHON": sys.executable, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"mlp {mlp_cli.__version__} "), done.stderr


def test_the_extra_all_names_every_extra_but_those_with_a_reason() -> None:
    (need,) = map(Requirement, EXTRAS["all"])
    assert need.name == PROJECT["name"]
    assert need.extras == set(EXTRAS) - set(LEFT_OUT)
    assert set(LEFT_OUT) <= set(EXTRAS)


def test_the_page_about_installing_has_every_extra_with_what_it_installs() -> None:
    page = DOCS / "install.md"
    assert [f"`{extra}`" for extra in EXTRAS] == first_column(page, "extra")
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", page.read_text(), re.MULTILINE)
    shown = {extra: set(re.findall(r"`([^`]+)`", needs)) for extra, needs in rows}
    assert shown.pop("all") == set(LEFT_OUT) - {"all"}
    for extra, names in shown.items():
        assert names == {re.split("[<>;]", need)[0] for need in EXTRAS[extra]}, extra


def test_the_page_about_installing_names_this_project_and_its_extras() -> None:
    page = DOCS / "install.md"
    named = re.findall(r"mlp-cli\[([\w,]+)\]", page.read_text())
    assert named
    assert {extra for extras in named for extra in extras.split(",")} <= set(EXTRAS)
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    (script,) = PROJECT["scripts"]
    assert f"uvx --from {PROJECT['name']} {script}" in " ".join(commands)


def test_the_links_of_the_readme_can_be_made_absolute(tmp_path: Path) -> None:
    for name in ("README.md", "scripts/absolute_links.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    script, address = tmp_path / "scripts/absolute_links.py", "https://example.org/owner/name"
    subprocess.run([sys.executable, script, address, "v1"], check=True)
    before, after = ((at / "README.md").read_text() for at in (ROOT, tmp_path))
    targets = re.findall(r"\]\(([^)\s]+)\)", after)
    assert all(target.startswith(("https://", "#")) for target in targets)
    assert f"({address}/raw/v1/docs/page-wide.png)" in after
    assert f"[Commands]({address}/blob/v1/docs/commands.md)" in after
    assert re.sub(rf"{address}/\w+/v1/", "", after) == before


def workflow_steps() -> list[tuple[str, dict[str, Any]]]:
    return [
        (workflow.stem, step)
        for workflow in WORKFLOWS
        for job in yaml.safe_load(workflow.read_text())["jobs"].values()
        for step in job["steps"]
    ]


def test_every_action_of_the_workflows_is_pinned() -> None:
    used = [step["uses"] for _, step in workflow_steps() if "uses" in step]
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w./-]+@(release/)?v\d+", action)]


def test_every_path_and_configuration_in_the_workflows_exists() -> None:
    commands = [step["run"] for _, step in workflow_steps() if "run" in step]
    paths = re.findall(r"(?:scripts|tests|\.ci)/[\w./-]+|pyproject\.toml", " ".join(commands))
    assert len(paths) >= 5
    assert not [path for path in paths if not (ROOT / path).exists()]
    named = re.findall(r"mlp train (\w+)", " ".join(commands))
    assert named
    assert not [name for name in named if not (ROOT / "configs" / f"{name}.yaml").exists()]


def test_the_workflows_try_every_system_and_every_python() -> None:
    pythons = re.findall(r":: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    jobs = {
        (workflow.stem, name): job.get("strategy", {}).get("matrix", {})
        for workflow in WORKFLOWS
        for name, job in yaml.safe_load(workflow.read_text())["jobs"].items()
    }
    systems = ["macos-latest", "windows-latest"]
    assert jobs["ci", "systems"] == {"system": systems, "python": pythons}
    assert jobs["release", "try"] == {"system": ["ubuntu-latest", *systems], "python": pythons}


def test_a_release_is_built_checked_and_tried_before_it_is_published() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    jobs = workflow["jobs"]
    assert (jobs["publish"]["needs"], jobs["try"]["needs"]) == ("try", "build")
    assert workflow["permissions"] == {"contents": "read"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    commands = " ".join(step.get("run", "") for step in jobs["build"]["steps"])
    assert commands.index("python -m build") < commands.index("twine check --strict")
