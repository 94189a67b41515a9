"""What a person sees on terminals of 60, 80 and 120 columns, and of kinds without colours.

The expected rows are in `panes/`. What changes from run to run, as times do, is `0` there. After a
wanted change, `MLP_UPDATE_PANES=1` writes them again; look at the difference.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.commands import walk
from helpers.terminal import COLOUR, Pane, on_terminal

from mlp_cli.cli.main import cli
from mlp_cli.runs.progress import ProgressObserver
from mlp_cli.training.metrics import EpochMetrics

Mlp = Callable[..., subprocess.CompletedProcess[str]]

PANES = Path(__file__).parent / "panes"
WIDTHS = [60, 80, 120]
CHANGING = re.compile(
    r"epoch|test|validation|time|Stopped|continued|errors|accuracy|loss|runs/a/best|[\d.]+ %"
)  # rows that change

CONFIG = """\
data: {dataset: synthetic, validation: 2000}
model: {hidden: [32]}
optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}
schedule: {name: one_cycle}
training: {epochs: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path


def check(name: str, columns: int, pane: Pane) -> None:
    """Compare the rows with the kept ones, in which nothing depends on the machine."""
    rows = []
    for row in pane.rows:
        if CHANGING.match(row):
            row = re.sub(r"\d", "0", re.sub(r"[\d,.]+(?=/s|,| s\b| samples|\. To|$)", "0", row))
        rows.append(row)
    text = "\n".join(rows).rstrip() + "\n"
    path = PANES / f"{name}-{columns}.txt"
    if os.environ.get("MLP_UPDATE_PANES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def stopped_training(columns: int, folder: Path, arguments: Sequence[str]) -> Pane:
    """Press Ctrl-C as soon as the bar shows a loss."""
    sent: list[None] = []

    def watch(process: subprocess.Popen[bytes], written: str) -> None:
        if not sent and "left, loss" in written:
            sent.append(process.send_signal(signal.SIGINT))

    return on_terminal(arguments, columns, cwd=folder, watch=watch)


@pytest.mark.long
@pytest.mark.parametrize("columns", WIDTHS)
def test_a_training(columns: int, folder: Path) -> None:
    pane = on_terminal(["train", "small.yaml", "--out", "runs/a"], columns, cwd=folder)
    assert pane.returncode == 0
    check("train", columns, pane)


@pytest.mark.long
@pytest.mark.serial
@pytest.mark.parametrize("columns", WIDTHS)
def test_an_interrupted_training_and_its_continuation(columns: int, folder: Path) -> None:
    # Small minibatches: an epoch must not end between the bar and the signal.
    many = ("--set", "training.epochs=500", "--set", "training.batch_size=1", "--out", "runs/a")
    stopped = stopped_training(columns, folder, ["train", "small.yaml", *many])
    assert stopped.returncode == -signal.SIGINT
    bars = [line for line in re.split("[\r\n]", stopped.written) if "%|" in line]
    assert bars
    for bar in bars:
        assert len(bar) <= columns
        assert re.search(r"epoch \d+/500 +\d+%\|.*\| .*left, loss \d+\.\d{4}", bar)
    check("interrupted", columns, stopped)

    command = "".join(stopped.rows).partition("To go on:")[2].split("mlp ")[1].split()
    assert command == ["train", "--resume", "--out", "runs/a"]
    again = stopped_training(columns, folder, command)
    assert again.returncode == -signal.SIGINT
    check("continued", columns, again)


@pytest.mark.long
@pytest.mark.parametrize("columns", WIDTHS)
def test_a_score(columns: int, folder: Path) -> None:
    on_terminal(["train", "small.yaml", "--out", "runs/a", "--quiet"], columns, cwd=folder)
    pane = on_terminal(["eval", "runs/a"], columns, cwd=folder)
    assert pane.returncode == 0
    scores, _, table = "\n".join(pane.rows).partition("\n\n")
    check("eval", columns, pane._replace(rows=scores.split("\n")))
    assert max(map(len, table.split("\n"))) <= 60


@pytest.mark.parametrize("columns", WIDTHS)
def test_an_error_and_a_warning(columns: int, folder: Path) -> None:
    pane = on_terminal(["train", "small.yaml", "--resume"], columns, cwd=folder)
    assert pane.returncode == 2
    rows = [row.replace("train -h'", "train --help'") for row in pane.rows]  # of Click 8.1
    check("error", columns, pane._replace(rows=rows))


@pytest.mark.long
@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": ""}, True),
    ],
)
def test_colours_appear_where_they_are_wanted(
    environ: dict[str, str], colours: bool, folder: Path
) -> None:
    pane = on_terminal(["train", "small.yaml", "--resume"], 80, cwd=folder, environ=environ)
    assert bool(COLOUR.search(pane.written)) == colours
    assert "Error: --resume" in COLOUR.sub("", pane.written)


def test_colours_can_be_forced_into_a_file(mlp: Mlp) -> None:
    assert "\x1b" not in mlp("train", "--resume").stderr
    assert "\x1b[1;31mError: \x1b[0m" in mlp("train", "--resume", FORCE_COLOR="1").stderr


@pytest.mark.long
def test_a_dumb_terminal_gets_lines_and_no_bar(folder: Path) -> None:
    pane = on_terminal(["train", "small.yaml"], 80, cwd=folder, environ={"TERM": "dumb"})
    assert "\r\r" not in pane.written
    assert not re.search(r"%\|", pane.written)
    assert "epoch 2/2" in pane.written


@pytest.mark.parametrize("epochs", [1, 999])
def test_the_line_of_an_epoch_fits_80_columns(
    epochs: int, capsys: pytest.CaptureFixture[str]
) -> None:

    metrics = EpochMetrics(epochs, 9, 0.1, 2.3012, 0.99999, 2.3012, 0.1, 299_999.0, 1.0)
    ProgressObserver().epoch(metrics, epochs)
    assert len(capsys.readouterr().err.rstrip("\n")) <= 80


@pytest.mark.long
@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("command", ["", "config", *walk(cli)])
def test_help_fits_the_terminal_and_its_short_lines_are_whole(
    command: str, columns: int, tmp_path: Path
) -> None:
    pane = on_terminal([*command.split(), "--help"], columns, cwd=tmp_path)
    assert pane.returncode == 0
    assert max(map(len, pane.written.splitlines())) <= columns
    assert "..." not in pane.written.partition("Commands:")[2]
    if not command and columns == 80:
        assert len(pane.written.splitlines()) <= 30
