"""`mlp report`, `mlp train --report`, and the curve at the end of a training."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.quick_training import FILES
from helpers.terminal import on_terminal

from mlp_cli.runs.colour import BLOCKS

Mlp = Callable[..., subprocess.CompletedProcess[str]]
MAKES = find_spec("jinja2") is not None and find_spec("matplotlib") is not None
needs_report = pytest.mark.skipif(not MAKES, reason="needs the extra `report`")


@needs_report
@pytest.mark.long
def test_a_report_is_written_and_its_name_printed(
    mlp: Mlp, quick_config: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        done = mlp("train", quick_config, "--out", f"runs/{name}", "--quiet")
        assert done.returncode == 0
    (tmp_path / "a.html").write_text("my own page")
    done = mlp("report", "runs/a", "--out", "a.html")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a.html is already there, and mlp did not make it. Choose another name" in done.stderr
    assert (tmp_path / "a.html").read_text() == "my own page"
    (tmp_path / "a.html").unlink()
    for paths, title in ((["runs/a"], "runs/a"), (["runs"], "runs"), (["runs/a", "runs/b"], "")):
        done = mlp("report", *paths, "--out", "a.html")
        assert (done.returncode, done.stdout, done.stderr) == (0, "a.html\n", "")
        assert f"<title>{title}" in (tmp_path / "a.html").read_text()
    assert not list(tmp_path.glob(".*.tmp"))


@needs_report
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none", "--out", "a.html"], "none: there is no such folder"),
        ([".", "--out", "a.html"], "there is no run in this folder"),
        ([".", "--out", "a.pdf"], "a.pdf: a report is a page"),
        (["."], "--out"),
        (["--out", "a.html"], "PATH"),
    ],
)
def test_wrong_usage_is_one_message(
    arguments: list[str], said: str, mlp: Mlp, tmp_path: Path
) -> None:
    done = mlp("report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not list(tmp_path.glob("a.*"))


@needs_report
@pytest.mark.long
def test_a_page_that_cannot_be_written_is_one_message(
    mlp: Mlp, quick_config: Path, tmp_path: Path
) -> None:
    assert mlp("train", quick_config, "--out", "runs/a", "--quiet").returncode == 0
    (tmp_path / "b.html").mkdir()
    for out, code in (("none/a.html", 7), ("b.html", 2)):
        done = mlp("report", "runs/a", "--out", out)
        assert done.returncode == code
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(MAKES, reason="the extra `report` is installed")
def test_the_message_names_the_missing_extra(mlp: Mlp, config: Path, tmp_path: Path) -> None:
    for arguments in (["report", ".", "--out", "a.html"], ["train", config, "--report"]):
        done = mlp(*arguments)
        assert done.returncode == 2
        assert "pip install 'mlp-cli[report]'" in done.stderr
    assert not (tmp_path / "runs").exists()


@needs_report
@pytest.mark.long
def test_a_training_leaves_its_report_and_an_overwritten_one_takes_it_away(
    mlp: Mlp, quick_config: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = mlp("train", quick_config, "--out", "run", "--report", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == "run"
    assert done.stderr.splitlines()[-1] == "report: run/report.html"
    page = (run / "report.html").read_text()
    assert "Learning curves" in page
    assert {path.name for path in run.iterdir()} == {*FILES, "report.html"}
    # A finished run gets its page again.
    (run / "report.html").unlink()
    assert mlp("train", "--resume", "--out", "run", "--report", "--quiet").returncode == 0
    assert (run / "report.html").read_text() == page
    assert mlp("train", quick_config, "--out", "run", "--overwrite", "--quiet").returncode == 0
    assert {path.name for path in run.iterdir()} == FILES


@needs_report
@pytest.mark.long
def test_a_file_of_the_user_in_place_of_the_report_stays(
    mlp: Mlp, quick_config: Path, tmp_path: Path
) -> None:
    assert mlp("train", quick_config, "--out", "run", "--quiet").returncode == 0
    mine = tmp_path / "run" / "report.html"
    mine.write_text("<html>mine</html>")
    again = ("train", quick_config, "--out", "run", "--overwrite")
    before = (tmp_path / "run" / "result.json").stat().st_mtime_ns
    done = mlp(*again, "--report")
    assert (done.returncode, done.stdout) == (2, "")
    assert "run/report.html is already there, and mlp did not make it." in done.stderr
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == before
    assert mlp(*again, "--quiet").returncode == 0
    assert mine.read_text() == "<html>mine</html>"


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "environ", "shown"),
    [
        ([], {}, True),
        (["--json"], {}, True),
        ([], {"NO_COLOR": "1"}, True),
        (["--quiet"], {}, False),
        ([], {"TERM": "dumb"}, False),
        ([], {"PYTHONIOENCODING": "ascii"}, False),
        (["--set", "training.epochs=1"], {}, False),
    ],
    ids=str,
)
def test_a_training_ends_with_a_curve_on_a_terminal_that_can_show_it(
    options: list[str], environ: dict[str, str], shown: bool, quick_config: Path, tmp_path: Path
) -> None:
    pane = on_terminal(["train", quick_config, *options], 60, cwd=tmp_path, environ=environ)
    assert pane.returncode == 0
    bars = [row for row in pane.rows if {*row} & {*BLOCKS.strip()}]
    assert bool(bars) == shown
    assert all(len(row) <= 60 for row in pane.rows)
    if shown:
        assert "validation error, epochs 1 to 2" in pane.rows


@pytest.mark.long
def test_a_training_into_a_pipe_has_no_curve(mlp: Mlp, quick_config: Path) -> None:
    done = mlp("train", quick_config)
    assert done.returncode == 0
    assert not {*done.stderr, *done.stdout} & {*BLOCKS.strip()}
