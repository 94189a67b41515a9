"""The packages that the program needs: the script that tries their versions, and old releases."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from mlp_cli.config.describe import _allowed

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "check_versions.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def check_versions(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lowest", "oldest"], "unknown choice: oldest"),
        (["--python", sys.executable, "--python", "nowhere"], "a Python does not start: nowhere"),
        (["--python", "/bin/false"], "a Python does not start: /bin/false"),
    ],
)
def test_the_script_refuses_what_it_cannot_run_before_it_installs(
    arguments: list[str], said: str
) -> None:
    done = check_versions(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_script_reports_every_package_that_the_project_asks_for() -> None:
    spec = spec_from_file_location("check_versions", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    extras = PROJECT["optional-dependencies"].values()
    needs = [Requirement(need) for need in sum(extras, PROJECT["dependencies"])]
    names = dict.fromkeys(need.name for need in needs if need.name != PROJECT["name"])
    assert module.packages() == list(names)


def test_every_version_of_python_is_tried_every_night() -> None:
    for workflow, job in ("ci", "check"), ("nightly", "versions"):
        jobs = yaml.safe_load((ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text())
        pythons = jobs["jobs"][job]["strategy"]["matrix"]["python"]
        assert [f"Programming Language :: Python :: {python}" for python in pythons] == [
            classifier for classifier in PROJECT["classifiers"] if ":: 3." in classifier
        ]


@pytest.mark.parametrize("number", [int, float])
def test_a_bound_of_a_key_has_the_same_words_for_every_release_of_pydantic(number: type) -> None:
    entry = {"type": "number", "minimum": number(0), "exclusiveMaximum": number(1_000_000)}
    assert _allowed(entry) == "a number at least 0 and below 1000000"


@pytest.mark.skipif(find_spec("numba") is None, reason="needs the extra `fast`")
def test_the_compiled_kernels_find_the_blas_of_a_numpy_without_the_name_core() -> None:
    code = (
        "import numba, numpy, numpy.linalg\n"
        "vars(numpy).pop('_core', None)\n"
        "from mlp_cli.compute.fast import blas\n"
        "print(blas.WIDE)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout in ("True\n", "False\n"), done.stderr
