"""`mlp compare` and `mlp runs` show runs in every form, and refuse what they cannot show."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.privileges import without_root
from helpers.selection import few
from helpers.written_runs import write_run

Mlp = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder with a line of two seeds, a single run, and one that is stopped."""
    folder = tmp_path / "runs"
    for seed in (0, 1):
        write_run(folder / f"wide-{seed}", {"seed": seed}, val_accuracy=0.96 + 0.02 * seed)
    write_run(folder / "low", {"optimizer.learning_rate": 0.012345678})
    write_run(folder / "short", {"training.epochs": 3}, finished=False, val_accuracy=0.99)
    return folder


def done(mlp: Mlp, *arguments: object, **environ: str) -> str:
    found = mlp(*arguments, **environ)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


def test_the_table_has_what_differs_and_fits_into_80_columns(mlp: Mlp, runs: Path) -> None:
    assert done(mlp, "compare", "runs") == (
        "in runs:\n"
        "run        state     learning_rate  epochs  n        val error, %    time\n"
        "wide-0 +1  finished            0.1      10  2         3.00 ± 1.41  10.0 s\n"
        "low        finished        0.01235      10  1  10.00 (8.29–12.02)  10.0 s\n"
        "short      stopped             0.1       3  1    1.00 (0.54–1.83)  10.0 s\n"
        "\n"
        "In brackets: 95 % interval (Wilson), of one network on these images.\n"
        "±: standard deviation over the n seeds.\n"
        "Of a run that is not finished: its best epoch so far.\n"
    )


def test_a_narrow_terminal_gets_a_narrow_table(mlp: Mlp, runs: Path) -> None:
    text = done(mlp, "compare", "runs", COLUMNS="60")
    assert max(map(len, text.splitlines())) <= 60
    assert "Left out for the width: " in text
    assert "low" in text and "10.00 (8.29–12.02)" in text


def test_a_sweep_is_compared_by_its_trials(mlp: Mlp, tmp_path: Path) -> None:
    for name in ("sweep.yaml", "result.json"):
        (tmp_path / name).write_text("{}")
    for seed in (0, 1):
        write_run(tmp_path / f"trials/00000/seed-{seed}", {"seed": seed})
    write_run(tmp_path / "trials/00001/seed-0", {"model.hidden": [3]}, finished=False)
    (tmp_path / "trials/00001/pruned.json").write_text("{}")
    text = done(mlp, "compare", tmp_path)
    assert text.startswith(f"in {tmp_path}/trials:\n")
    assert [line.split()[:2] for line in text.splitlines()[2:4]] == [
        ["00000", "finished"],
        ["00001/seed-0", "pruned"],
    ]


def test_csv_has_every_figure_and_json_the_same(mlp: Mlp, runs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(done(mlp, "compare", "runs", "--csv"))))
    found = json.loads(done(mlp, "compare", "runs", "--json"))
    assert found["keys"] == ["optimizer.learning_rate", "training.epochs"]
    assert [row["run"] for row in rows] == [line["run"] for line in found["lines"]]
    wide, low, short = found["lines"]
    assert wide["runs"] == ["runs/wide-0", "runs/wide-1"]
    assert (wide["seeds"], wide["val_error"], wide["val_error_ci95"]) == ([0, 1], 0.03, None)
    assert wide["val_error_sd"] == pytest.approx(0.0141421356)
    assert low["config"]["optimizer.learning_rate"] == 0.012345678
    assert float(rows[1]["optimizer.learning_rate"]) == 0.012345678
    assert (short["state"], short["epochs"], short["test_error"]) == ("stopped", 2, None)
    for row, line in zip(rows, found["lines"], strict=True):
        assert float(row["val_error"]) == line["val_error"]
        assert row["n"] == str(len(line["runs"]))
        ends = line["val_error_ci95"] or ["", ""]
        assert [row["val_error_low"], row["val_error_high"]] == list(map(str, ends))


def test_markdown_is_a_table(mlp: Mlp, runs: Path) -> None:
    lines = done(mlp, "compare", "runs", "--markdown", "--top", "1").splitlines()
    assert lines[0].startswith("| run | state | learning_rate | epochs |")
    assert lines[2].startswith("| runs/wide-0 +1 | finished | 0.1 | 10 |")
    assert {line.count("|") for line in lines[:3]} == {lines[0].count("|")}
    assert lines[3] == ""


def test_only_the_first_lines_are_shown_if_asked_for(mlp: Mlp, runs: Path) -> None:
    command = ("compare", "runs", "--json", "--sort", "learning_rate", "--top", "1")
    (line,) = json.loads(done(mlp, *command))["lines"]
    assert line["run"] == "runs/low"


def test_a_single_run_is_a_table_of_one_line(mlp: Mlp, runs: Path) -> None:
    lines = done(mlp, "compare", "runs/low").splitlines()
    assert lines[:3] == [
        "in runs:",
        "run  state           val error, %    time",
        "low  finished  10.00 (8.29–12.02)  10.0 s",
    ]


def test_damaged_runs_are_told_on_stderr_and_in_the_table(mlp: Mlp, runs: Path) -> None:
    (runs / "low" / "result.json").write_text("{\x1b[2J")
    found = mlp("compare", "runs", "--csv")
    assert found.returncode == 0
    assert "WARNING: runs/low: damaged. runs/low/result.json is damaged: it is not" in found.stderr
    assert "Traceback" not in found.stderr
    row = next(row for row in csv.DictReader(io.StringIO(found.stdout)) if row["run"] == "runs/low")
    assert (row["state"], row["val_error"]) == ("damaged", "")
    assert row["reason"].startswith("runs/low/result.json is damaged")


@pytest.mark.long
def test_names_cannot_control_the_terminal(mlp: Mlp, tmp_path: Path) -> None:
    write_run(tmp_path / "a\x1b[2J\n")
    for form in ([], ["--csv"], ["--markdown"], ["--json"]):
        text = done(mlp, "compare", tmp_path, *form)
        assert "\x1b" not in text
    assert "\x1b" not in done(mlp, "runs", tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    few(
        [
            pytest.param(["compare"], 2, "Missing argument 'PATH...'"),
            pytest.param(["compare", "nothing"], 2, "nothing: there is no such folder."),
            pytest.param(["compare", "runs/low/config.yaml"], 2, "it is not a folder."),
            pytest.param(["compare", "empty"], 2, "empty: there is no run in this folder."),
            pytest.param(["compare", "runs", "--csv", "--json"], 2, "exclude each other"),
            pytest.param(
                ["compare", "runs", "--sort", "lr"], 2, "--sort lr: there is no such key."
            ),
            pytest.param(["compare", "runs", "--top", "0"], 2, "--top"),
            pytest.param(
                ["compare", "runs", "--against", "runs"], 2, "it holds 4 runs. Give one of them."
            ),
            pytest.param(
                ["compare", "runs", "--against", "runs/low"], 2, "the folder holds no best.npz."
            ),
            pytest.param(["compare", "runs", "--plot", "a.txt"], 2, "unknown picture format"),
            pytest.param(["runs", "nothing"], 2, "nothing: there is no such folder."),
            pytest.param(["runs", "empty"], 2, "empty: there is no run in this folder."),
        ],
        3,
    ),
)
def test_what_cannot_be_shown_is_one_message(
    words: list[str], code: int, message: str, mlp: Mlp, runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    found = mlp(*words)
    assert (found.returncode, found.stdout) == (code, "")
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_a_folder_without_permission_is_one_message_or_a_damaged_run(runs: Path) -> None:
    def run(path: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mlp_cli", "compare", path], cwd=runs.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            preexec_fn=without_root, check=False,
        )  # fmt: skip

    (runs / "low").chmod(0)
    try:
        within, itself = run("runs"), run("runs/low")
    finally:
        (runs / "low").chmod(0o755)
    assert within.returncode == 0
    assert "runs/low: damaged. cannot read runs/low: Permission denied." in within.stderr
    assert "damaged" in within.stdout
    assert (itself.returncode, itself.stdout) == (7, "")
    assert itself.stderr.startswith("Error: cannot read runs/low: Permission denied.")


def test_the_list_of_runs_has_the_newest_last_and_what_was_changed(mlp: Mlp, runs: Path) -> None:
    for age, name in enumerate(["short", "wide-0", "low", "wide-1"]):
        for file in (runs / name).iterdir():
            os.utime(file, (1.7e9 - 60 * age, 1.7e9 - 60 * age))
    found = json.loads(done(mlp, "runs", "--json"))
    assert [entry["run"] for entry in found] == [
        "runs/wide-1", "runs/low", "runs/wide-0", "runs/short",
    ]  # fmt: skip
    assert found[1]["changed"] == {
        "data.validation": 1000, "data.test": False, "optimizer.learning_rate": 0.012345678,
    }  # fmt: skip
    assert (found[3]["state"], found[3]["val_accuracy"]) == ("stopped", 0.99)
    lines = done(mlp, "runs", TZ="UTC").splitlines()
    assert lines[:3] == [
        "run     state     written           validation    time",
        "wide-1  finished  2023-11-14 22:10     98.00 %  10.0 s",
        "  seed=1 validation=1000 test=false",
    ]


def test_neither_command_loads_more_than_it_needs(runs: Path) -> None:
    code = (
        "import sys\nfrom mlp_cli.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: print('LOADED', *sys.modules)"
    )
    for words in (["compare", "runs"], ["runs"]):
        loaded = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=runs.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        assert "mlp_cli.runs.listing" in loaded
        unneeded = {"mlp_cli.nn", "mlp_cli.compute", "mlp_cli.data", "mlp_cli.inference"}
        assert not unneeded & set(loaded)
        assert not {"matplotlib", "optuna", "numba", "requests"} & set(loaded)
