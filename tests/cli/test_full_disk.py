"""Whatever is printed to a full disk ends in one message and exit code 7."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mlp_cli import SilentObserver, train
from mlp_cli.cli.main import cli

ROOT = Path(__file__).parents[2]
MESSAGE = "Error: cannot write to standard output: No space left on device. "


def assert_refused(*arguments: object, **environ: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mlp_cli", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 7, arguments
    assert done.stderr.startswith(MESSAGE), arguments
    assert done.stderr.count("\n") == 1, arguments


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that call a group and each of its commands."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.long
@pytest.mark.parametrize("command", list(commands(cli)), ids=" ".join)
def test_help_to_a_full_disk(command: tuple[str, ...]) -> None:
    assert_refused(*command, "--help")


@pytest.mark.long
@pytest.mark.parametrize("call", ["-h", "--version", "config list --json", "config schema"])
def test_a_list_to_a_full_disk(call: str) -> None:
    assert_refused(*call.split())


@pytest.mark.long
def test_results_to_a_full_disk(config: Path, tmp_path: Path) -> None:
    run = train(config, out=tmp_path / "run", observer=SilentObserver())
    assert_refused("train", config, "--out", run, "--resume")
    assert_refused("train", config, "--out", run, "--resume", "--json")
    assert_refused("eval", run)
    assert_refused("eval", run, "--json")
    assert_refused("eval", run, "--predictions", "-")
    assert_refused("gradcheck", config, "--json")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_to_a_full_disk(shell: str) -> None:
    assert_refused(_MLP_COMPLETE=f"{shell}_source")
