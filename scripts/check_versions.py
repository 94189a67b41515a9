"""Run the tests with the lowest and the newest versions of the packages that the program needs.

    python scripts/check_versions.py [lowest] [newest] [each] [OPTION]…

makes a fresh virtual environment for each Python and each choice of versions, installs this
checkout with the extras that it needs, and runs pytest. The choices are:

    lowest   the lowest versions that pyproject.toml allows
    newest   the newest versions
    each     in turn, one package at its lowest version and the others at their newest

The packages that those packages need are always the newest. Without a choice, `lowest` and `newest`
are run. PYTHON is a command or a path; without it, every version that pyproject.toml names is run
if it is on the PATH. `--pytest='-m ""'` runs the long tests as well as the quick ones.

uv resolves and installs the versions. If uv is not on the PATH, pip installs it into a temporary
folder. What pytest prints goes to stderr. Each run has a line on stdout: the Python, the choice,
the result and the versions. The exit code is 1 if a run failed.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = tuple(PROJECT["optional-dependencies"])
LOWEST, NEWEST = "--resolution=lowest-direct", "--resolution=highest"


class Versions(NamedTuple):
    """Which versions uv is to install: a name for them, and uv's arguments."""

    name: str
    arguments: Sequence[str]


def packages() -> list[str]:
    """Return the names of the packages that pyproject.toml asks for."""
    needs = list(PROJECT["dependencies"])
    for extra in EXTRAS:
        needs += PROJECT["optional-dependencies"][extra]
    names = dict.fromkeys(re.split(r"[<>=;\[]", need)[0] for need in needs)
    return [name for name in names if name != PROJECT["name"]]


def starts(python: str) -> bool:
    """Tell whether a command or a path is a Python that starts."""
    command = [python, "-c", ""]
    return bool(
        shutil.which(python)
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


def find_uv(folder: Path) -> str:
    """Return the path of uv. If there is none, install it into a folder."""
    if found := shutil.which("uv"):
        return found
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "uv"], check=True)
    return str(folder / "bin" / "uv")


def output(command: Sequence[str]) -> str:
    """Return what a command prints to stdout."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def all_versions(choice: str, uv: str, python: str) -> Iterator[Versions]:
    """Yield the versions that a choice stands for."""
    if choice != "each":
        yield Versions(choice, [LOWEST if choice == "lowest" else NEWEST])
        return
    extras = [f"--extra={extra}" for extra in EXTRAS]
    command = [uv, "pip", "compile", "--quiet", "--python", python, LOWEST, *extras]
    pins = output([*command, str(ROOT / "pyproject.toml")])
    for pin, name in re.findall(r"^(([\w-]+)==\S+)", pins, re.MULTILINE):
        if name in packages():
            yield Versions(f"only {pin}", [NEWEST, pin])


def check(uv: str, python: str, versions: Versions, options: Sequence[str]) -> bool:
    """Run the tests in a new environment, print the line of the run, and tell if they passed."""
    with tempfile.TemporaryDirectory() as folder:
        inner = f"{folder}/bin/python"
        make = [uv, "venv", "--quiet", "--python", python, folder]
        # Bytecode, as pip makes it: the tests start hundreds of processes.
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", inner]
        for command in make, [*install, *versions.arguments, f"-e{ROOT}[{','.join(EXTRAS)}]"]:
            if subprocess.run(command, check=False).returncode:
                print(f"{python}, {versions.name}: not installed", flush=True)
                return False
        listing = [uv, "pip", "list", "--quiet", "--python", inner, "--format=json"]
        installed = {package["name"]: package["version"] for package in json.loads(output(listing))}
        number = output([inner, "--version"])
        result = "no result"
        command = [inner, "-m", "pytest", "-q", "--color=no", *options]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
            for line in tests.stdout or ():
                sys.stderr.write(line)
                result = line.strip() or result
    shown = ", ".join(f"{name} {installed[name]}" for name in packages() if name in installed)
    print(f"{number.strip()}, {versions.name}: {result} ({shown})", flush=True)
    return tests.returncode == 0


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("choices", nargs="*", metavar="CHOICE", help="lowest, newest or each")
    parser.add_argument("--python", action="append", help="a command or a path; may be repeated")
    parser.add_argument("--pytest", default="", metavar="OPTIONS", help="options of pytest")
    given = parser.parse_args()
    choices = given.choices or ["lowest", "newest"]
    if unknown := {*choices} - {"lowest", "newest", "each"}:
        parser.error(f"unknown choice: {', '.join(sorted(unknown))}")
    numbers = re.findall(r":: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    named = given.python or [f"python{number}" for number in numbers]
    pythons = [python for python in named if starts(python)]
    if not pythons or (given.python and pythons != named):
        parser.error(f"a Python does not start: {', '.join(sorted({*named} - {*pythons}))}")
    with tempfile.TemporaryDirectory() as folder:
        uv = find_uv(Path(folder))
        passed = [
            check(uv, python, versions, shlex.split(given.pytest))
            for python in pythons
            for choice in choices
            for versions in all_versions(choice, uv, python)
        ]
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
