"""Every command on a narrow and on a dumb terminal, in ASCII, and before a reader that has gone.

A new command is found by itself, and shows its help, until it gets a call in `CALLS`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import walk
from helpers.terminal import ENVIRON, Pane, on_terminal

from mlp_cli import SilentObserver, train
from mlp_cli.cli.main import cli

pytestmark = pytest.mark.long

SMALL = (
    "{data: {dataset: synthetic, validation: 2000}, model: {hidden: [8]}, training: {epochs: 2}}"
)
CALLS = {
    "compare": "compare runs",
    "completion": "completion bash",
    "config explain": "config explain model optimizer",
    "config list": "config list",
    "config schema": "config schema",
    "config show": "config show small.yaml --set seed=1",
    "eval": "eval runs/a",
    "gradcheck": "gradcheck small.yaml",
    "init": "init new.yaml",
    "runs": "runs",
    "sweep": "sweep sweep.yaml --out sweep --jobs 1",
    "train": "train small.yaml --out runs/b",
}
COMMANDS = {name: CALLS.get(name, f"{name} --help").split() for name in walk(cli)}

each_command = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "a"
    config = {"data.dataset": "synthetic", "model.hidden": [8], "training.epochs": 1}
    return train({}, set=config, out=run, observer=SilentObserver(), kernels="numpy").path


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a").symlink_to(trained)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "sweep.yaml").write_text(
        "config: small.yaml\nsearch: {optimizer.learning_rate: [0.1]}\n"
    )
    return tmp_path


def shown(name: str, columns: int, folder: Path, **environ: str) -> Pane:
    pane = on_terminal(COMMANDS[name], columns, cwd=folder, environ=environ)
    assert pane.returncode == 0, pane.written
    assert "Traceback" not in pane.written
    assert "\x1b" not in pane.written
    return pane


@each_command
def test_a_narrow_and_dumb_terminal_gets_whole_lines(name: str, folder: Path) -> None:
    plain = {"TERM": "dumb", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    pane = shown(name, 20, folder, **plain)
    assert not re.search("\r(?!\n)|\b", pane.written)  # a terminal adds the \r of a line's end
    if name == "config explain":
        assert max(map(len, pane.written.splitlines())) <= len("regularisation.label_smoothing")


@pytest.mark.parametrize("name", ["sweep", "train"])
def test_a_bar_fits_a_narrow_terminal_and_has_no_colours(name: str, folder: Path) -> None:
    pane = shown(name, 20, folder, NO_COLOR="1")
    bars = [line for line in re.split("[\r\n]+", pane.written) if re.search(r"\|.*\|", line)]
    assert bars
    assert max(map(len, bars)) <= 20


@each_command
def test_a_reader_that_has_gone_ends_a_command_without_a_word(name: str, folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "mlp_cli", *COMMANDS[name]],
        cwd=folder, env={**os.environ, **ENVIRON}, stdout=writer, stderr=subprocess.PIPE, text=True,
        check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE, done.stderr
    assert not re.search("Traceback|Error|Exception|[Bb]roken", done.stderr)
