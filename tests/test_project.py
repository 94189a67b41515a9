"""The project's files agree with each other: versions, tools, commands and paths."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import mlp_cli

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CI = (ROOT / ".ci" / "run").read_text()
JOB = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["check"]


def recipes() -> dict[str, list[str]]:
    """Return the Makefile's targets and their commands."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "Makefile").read_text().splitlines():
        if line.startswith("\t"):
            found[list(found)[-1]].append(line.strip())
        elif target := re.match(r"(\w+):", line):
            found[target[1]] = []
    return found


def pinned() -> dict[str, str]:
    """Return the development tools and their versions."""
    groups = PYPROJECT["dependency-groups"].values()
    named = [entry for group in groups for entry in group if isinstance(entry, str)]
    return dict(requirement.split("==") for requirement in named)


def hooks() -> list[dict[str, Any]]:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    return list(repositories[0]["hooks"])


def test_make_check_is_what_the_workflow_runs() -> None:
    assert recipes()["check"] == [".ci/run"]
    assert [step["run"] for step in JOB["steps"] if "run" in step] == recipes()["check"]


def test_only_make_lint_names_the_tools_for_style() -> None:
    assert "make lint" in CI
    assert not re.search(r"\b(ruff|mypy|codespell)\b", re.sub(r"^ *#.*", "", CI, flags=re.M))


def test_the_workflow_runs_the_versions_of_python_that_the_package_names() -> None:
    classifiers = PYPROJECT["project"]["classifiers"]
    versions = [version.rpartition(" ")[2] for version in classifiers if "Python :: 3." in version]
    assert JOB["strategy"]["matrix"]["python"] == versions
    assert PYPROJECT["project"]["requires-python"] == f">={versions[0]}"


def test_every_hook_is_a_pinned_tool_of_make_lint() -> None:
    linted = " ".join(recipes()["lint"])
    for hook in hooks():
        tool, *_ = hook["entry"].split()
        assert tool in pinned()
        assert f"-m {tool}" in linted
    assert {"ruff", "mypy", "codespell"} == {hook["entry"].split()[0] for hook in hooks()}


def test_the_extra_for_tests_is_among_the_pinned_tools() -> None:
    extra = {
        re.split("[><=]", need)[0] for need in PYPROJECT["project"]["optional-dependencies"]["test"]
    }
    assert extra <= set(pinned())


def test_the_citation_has_the_version_licence_and_author_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == mlp_cli.__version__
    assert citation["license"] == PYPROJECT["project"]["license"]
    (author,) = citation["authors"]
    assert author["name"] in (ROOT / "LICENSE").read_text()


def test_every_test_runs_in_one_stage_of_the_checks() -> None:
    # Without compiled code, the README's command runs the tests not marked `long`.
    assert "-m 'not long and not nightly'" in PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"]
    # `mark.long` is in the files of the long tests, or in this helper, which they import.
    helpers = (ROOT / "tests" / "helpers").rglob("*.py")
    marking = [path.stem for path in helpers if "mark.long" in path.read_text()]
    assert marking == ["selection"]
    assert "'mark\\.long|helpers\\.selection' \"${without_extras[@]}\"" in CI
    assert "serial=$(grep -lF mark.serial $long)" in CI
    assert '-m "long and serial and not nightly" $serial' in CI
    assert '-m "long and not serial and not nightly" $long' in CI
    assert '-m "not serial and not nightly" "${with_extras[@]}"' in CI
    assert 'mark.serial "${with_extras[@]}")' in CI
    assert '-m "serial and not nightly" $serial' in CI
    listed = {name: selected(name) for name in ("without_extras", "with_extras")}
    for path in (ROOT / "tests").glob("**/test_*.py"):
        own = path.relative_to(ROOT)
        of = own if own.parent.name == "tests" else own.parent
        assert any(of.as_posix() in paths for paths in listed.values()), path
        # A test that is skipped, or has fewer parameters, without an extra.
        if path != Path(__file__) and EXTRA.search(path.read_text()):
            assert {own.as_posix(), of.as_posix()} & listed["with_extras"], path


def selected(name: str) -> set[str]:
    """Return the paths in a list of `.ci/run`."""
    code = f'eval "$(sed -n "/^{name}=(/,/)$/p" .ci/run)"; printf "%s\\n" "${{{name}[@]}}"'
    done = subprocess.run(
        ["bash", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


EXTRA = re.compile(r"needs_numba|needs (the extra|matplotlib|PyTorch)|group .?oracle|\bKERNELS\b")


QUIET = re.compile(r"time\.(monotonic|process_time|perf_counter)\(\) - |tracemalloc|\bseconds <")


def test_what_measures_time_or_memory_is_marked_serial() -> None:
    unmarked = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text()
        if path == Path(__file__) or re.search(r"^pytestmark = .*serial", text, re.MULTILINE):
            continue
        tests = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        for test in tests:
            marks = " ".join(map(ast.unparse, test.decorator_list))
            if test.name.startswith("test_") and QUIET.search(ast.unparse(test)):
                unmarked += [] if "serial" in marks else [f"{path.name}: {test.name}"]
    assert not unmarked


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_the_questions_of_an_issue_form_have_different_ids(form: str) -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text())
    fields = [field["id"] for field in form["body"]]
    assert len(fields) == len({*fields})


def test_the_page_for_contributors_names_existing_files_and_targets() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    paths = [path for path in re.findall(r"`([\w./-]+)`", page) if "/" in path]
    assert paths
    assert not [path for path in paths if not (ROOT / path).exists()]
    assert {*re.findall(r"`make (\w+)`", page)} <= set(recipes())
