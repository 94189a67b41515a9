"""What goes to which stream, with the same exit code for every release of Click."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell, in which MLP is the program, with warnings as errors."""
    program = f'"{sys.executable}" -W error -m mlp_cli'
    return subprocess.run(
        ["bash", "-c", line.replace("MLP", program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("group", ["", "config"])
def test_a_group_without_a_command_is_a_usage_error_that_shows_the_help(group: str) -> None:
    done = shell(f"MLP {group}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == shell(f"MLP {group} --help").stdout


@pytest.mark.parametrize("group", ["", "config"])
@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_its_exit_code_does_not_need_standard_error(group: str, closed: str) -> None:
    done = shell(f"MLP {group} {closed}")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.long
@pytest.mark.parametrize(
    "call", ["--version", "--help", "config --help", "config list", "config schema"]
)
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_make_a_command_fail(call: str, closed: str) -> None:
    done = shell(f"MLP {call} {closed}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("call", ["nothing", "eval", "train --nope", "train nowhere.yaml"])
def test_closed_streams_do_not_change_the_exit_code_of_an_error(call: str) -> None:
    done = shell(f"MLP {call} >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
