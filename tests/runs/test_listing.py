"""Runs are found in folders and sweeps, and read whatever state their files are in."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.written_runs import write_run

from mlp_cli.config.load import leaves, load_config
from mlp_cli.errors import ConfigError
from mlp_cli.runs.listing import ListedRun, RunReader, changed_settings, find_runs


def listed(*folders: Path) -> dict[str, ListedRun]:
    """Return the runs in folders by their paths, relative to the first folder."""
    reader = RunReader()
    runs = [reader.read(found) for found in find_runs(folders)]
    return {os.path.relpath(run.path, folders[0]): run for run in runs}


def test_a_folder_is_a_run_or_is_searched_downwards(tmp_path: Path) -> None:
    for name in ("b-10", "b-2", "a/deep/er", ".hidden/run"):
        write_run(tmp_path / name)
    write_run(tmp_path / "b-2" / "inner")
    (tmp_path / "notes.txt").write_text("mine")
    assert list(listed(tmp_path)) == ["a/deep/er", "b-2", "b-10"]
    assert list(listed(tmp_path / "b-2")) == ["."]


def test_no_run_is_listed_twice_whatever_leads_to_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "link").symlink_to(run)
    (tmp_path / "runs" / "circle").symlink_to(tmp_path / "runs")
    (tmp_path / "runs" / "self").symlink_to("self")
    assert list(listed(tmp_path / "runs", run, tmp_path)) == ["a"]


def test_a_finished_run_has_the_figures_of_its_result(tmp_path: Path) -> None:
    changes = {"model.hidden": [3, 2], "optimizer.name": "adam"}
    (run,) = listed(write_run(tmp_path / "a", changes, test_errors=31)).values()
    assert (run.state, run.reason, run.epochs, run.seconds) == ("finished", "", 2, 10.0)
    assert (run.val_accuracy, run.test_accuracy) == (0.9, 0.969)
    expected = dict(leaves(load_config(tmp_path / "a" / "config.yaml", warn=lambda _: None)))
    assert run.config == {k: tuple(v) if isinstance(v, list) else v for k, v in expected.items()}
    assert changed_settings(run) == {
        "data.validation": 1000,
        "model.hidden": [3, 2],
        "optimizer.name": "adam",
    }


def test_an_unfinished_run_has_its_best_epoch_so_far_and_its_state(tmp_path: Path) -> None:
    for name in ("stopped", "diverged", "running"):
        write_run(tmp_path / name, finished=False, seconds=8.0)
    (tmp_path / "diverged" / "divergence.json").write_text("{}")
    descriptor = os.open(tmp_path / "running", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        runs = listed(tmp_path)
    finally:
        os.close(descriptor)
    assert {name: run.state for name, run in runs.items()} == {name: name for name in runs}
    assert {(run.epochs, run.val_accuracy, run.seconds) for run in runs.values()} == {(2, 0.9, 8.0)}


def test_the_runs_of_a_sweep_have_the_outcome_of_their_trial(tmp_path: Path) -> None:
    for name in ("sweep.yaml", "result.json"):
        (tmp_path / name).write_text("{}")
    write_run(tmp_path / "trials/00000/seed-0")
    write_run(tmp_path / "trials/00001/seed-0", finished=False)
    (tmp_path / "trials/00001/pruned.json").write_text('{"epoch": 1}')
    write_run(tmp_path / "trials/00002/seed-0")
    write_run(tmp_path / "trials/00002/seed-1", finished=False)
    write_run(tmp_path / "trials/00002/seed-2", finished=False)
    failure = {"seed": 1, "exit_code": 7, "message": "cannot write"}
    (tmp_path / "trials/00002/failed.json").write_text(json.dumps(failure))
    (tmp_path / "trials/00003").mkdir()
    (tmp_path / "trials/00003/failed.json").write_text("torn {")
    write_run(tmp_path / "confirm/00000/seed-5")
    assert {name: (run.state, run.reason) for name, run in listed(tmp_path).items()} == {
        "confirm/00000/seed-5": ("finished", ""),
        "trials/00000/seed-0": ("finished", ""),
        "trials/00001/seed-0": ("pruned", ""),
        "trials/00002/seed-0": ("finished", ""),
        "trials/00002/seed-1": ("failed", "cannot write"),
        "trials/00002/seed-2": ("stopped", ""),
        "trials/00003": ("failed", ""),
    }


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("result.json", lambda path: path.write_text("{"), "not valid JSON"),
        ("result.json", lambda path: path.write_text("[]"), "not a JSON object"),
        ("result.json", lambda path: path.write_bytes(b"\xff"), "UTF-8"),
        ("config.yaml", lambda path: path.write_text("seed: -1\n"), "config.yaml:1: seed"),
        ("config.yaml", lambda path: path.write_text(""), "empty"),
        ("config.yaml", Path.unlink, "config.yaml is missing"),
        ("config.yaml", lambda path: (path.unlink(), path.mkdir()), "config.yaml is missing"),
        ("result.json", lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
        ("config.yaml", lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
    ],
)
def test_a_damaged_run_is_listed_with_the_reason_and_the_others_as_ever(
    name: str, damage: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    write_run(tmp_path / "good")
    damage(write_run(tmp_path / "bad") / name)
    runs = listed(tmp_path)
    assert runs["good"].state == "finished"
    assert runs["bad"].state == "damaged"
    assert reason in runs["bad"].reason
    assert "\n" not in runs["bad"].reason


def test_a_damaged_line_of_metrics_makes_an_unfinished_run_damaged(tmp_path: Path) -> None:
    metrics = write_run(tmp_path / "a", finished=False) / "metrics.jsonl"
    text = metrics.read_text()
    metrics.write_text(f"{text}{{torn")  # as a kill leaves it
    assert listed(tmp_path)["a"].state == "stopped"
    metrics.write_text(f"nonsense\n{text}")
    assert (listed(tmp_path)["a"].state, "line 1" in listed(tmp_path)["a"].reason) == (
        "damaged",
        True,
    )


def test_a_run_that_has_only_begun_is_no_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "env.json").write_text("{}")
    run = listed(tmp_path)["a"]
    assert (run.state, run.config, run.epochs, run.val_accuracy) == ("stopped", {}, 0, None)
    assert changed_settings(run) == {}


@pytest.mark.parametrize(
    ("kind", "why"),
    [("missing", "no such folder"), ("empty", "no run in this"), ("file", "it is not a folder")],
)
def test_a_path_without_a_run_is_refused(kind: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "file":
        path.write_text("")
    elif kind == "empty":
        (path / "within").mkdir(parents=True)
    write_run(tmp_path / "good")
    with pytest.raises(ConfigError, match=why):
        list(find_runs([tmp_path / "good", path]))
