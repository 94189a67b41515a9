"""A folder that holds any of a run's files is never taken for an empty one."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Literal

import pytest
from helpers.own_images import write_own_images
from helpers.runs import assert_same_run
from helpers.selection import few
from helpers.stopping import Stop, resume

from mlp_cli.config.load import dump_config, from_dict
from mlp_cli.errors import CheckpointError, ConfigError

FILES = ("env.json", "config.yaml", "metrics.jsonl", "last.npz", "best.npz", "result.json")
Names = frozenset[str]
SETS = [frozenset(c) for n in range(len(FILES) + 1) for c in itertools.combinations(FILES, n)]
CASES = [
    pytest.param(kind, names, id=f"{kind}: {'+'.join(sorted(names))}")
    for names in SETS
    for kind in ("finished", "stopped")
    if kind == "finished" or "result.json" not in names
]


class Runs:
    """Runs of one configuration: finished, and stopped after the first of its two epochs."""

    def __init__(self, parent: Path, validation: int) -> None:
        data = {
            "path": str(write_own_images(parent, 4, 5, classes=3, train=60)),
            "validation": validation,
        }
        training = {"epochs": 2, "batch_size": 8}
        settings = {"data": data, "model": {"hidden": [5]}, "training": training}
        self.config = from_dict(settings, "the test")
        self.paths = {"finished": parent / "finished", "stopped": parent / "stopped"}
        resume(self.paths["finished"], self.config)
        resume(self.paths["stopped"], self.config, Stop(epochs=1))

    def copy(self, kind: str, names: Names, to: Path) -> Path:
        to.mkdir()
        for name in names:
            shutil.copy(self.paths[kind] / name, to)
        return to


@pytest.fixture(scope="module", params=[15, 0], ids=["validation", "no validation"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), request.param)


def content(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir()}


def expected(names: Names, *, validation: bool) -> Literal["refused", "result", "trained"]:
    """What resuming such a folder does, where `metrics.jsonl` has lines."""
    if names <= {"env.json", "config.yaml"}:  # as a kill before the first save leaves it
        return "refused" if names == {"config.yaml"} else "trained"  # that may be a user's file
    finished, whole = "result.json" in names, "last.npz" in names
    if finished and not whole:
        return "result" if names & {"config.yaml", "best.npz"} else "refused"
    if finished and {"env.json", "config.yaml"} <= names:
        return "result"
    if not whole or (validation and "best.npz" not in names):
        return "refused"
    return "trained"


@pytest.mark.parametrize(("kind", "names"), few(CASES, 4))
def test_every_set_of_a_runs_files_is_refused_or_leads_to_the_run(
    kind: str, names: Names, runs: Runs, tmp_path: Path
) -> None:
    run = runs.copy(kind, names, tmp_path / "run")
    before, finished = content(run), runs.paths["finished"]
    outcome = expected(names, validation=runs.config.data.validation > 0)
    if outcome == "refused":
        with pytest.raises((ConfigError, CheckpointError)) as refusal:
            resume(run, runs.config)
        assert content(run) == before
        words = ".npz is missing|are missing|holds no run"
        refusal.match(words)
        refusal.match("--overwrite|another folder")
        return
    done, warnings = resume(run, runs.config)
    assert done
    text = " ".join(warnings)
    if outcome == "result":
        assert content(run) == before
        assert all(name in text for name in set(FILES) - names)
        return
    if "last.npz" in names:
        for name in {"env.json", "config.yaml", "metrics.jsonl"} - names:
            assert f"{name} is missing" in text
    else:
        assert warnings == []
    if "last.npz" in names and "metrics.jsonl" not in names:  # the lines alone are lost
        shutil.copy(finished / "metrics.jsonl", run)
    assert_same_run(run, finished)
    assert content(run).keys() == set(FILES)
    assert (run / "config.yaml").read_text() == dump_config(runs.config)
    if not runs.config.data.validation:
        assert content(run)["best.npz"] == content(run)["last.npz"]


@pytest.mark.parametrize(
    "others", [(), FILES[:1], FILES[1:2], FILES[:2]], ids=lambda others: "+".join(others)
)
def test_a_run_killed_before_its_first_save_begins_again(
    others: tuple[str, ...], runs: Runs, tmp_path: Path
) -> None:
    run = runs.copy("finished", frozenset(others), tmp_path / "run")
    (run / "metrics.jsonl").write_text("")
    assert resume(run, runs.config) == (True, [])
    assert_same_run(run, runs.paths["finished"])


@pytest.mark.parametrize("name", ["divergence.json", "metrics.jsonl"])
def test_a_diverged_run_without_its_checkpoint_is_refused(
    name: str, runs: Runs, tmp_path: Path
) -> None:
    run = runs.copy("finished", frozenset({"env.json", "config.yaml"}), tmp_path / "run")
    (run / name).write_text("{}\n")
    with pytest.raises(ConfigError, match=r"last\.npz is missing, so the run cannot continue"):
        resume(run, runs.config)


def test_a_configuration_that_a_checkpoint_holds_is_compared_with_the_given_one(
    runs: Runs, tmp_path: Path
) -> None:
    run = runs.copy("stopped", frozenset(FILES) - {"config.yaml", "result.json"}, tmp_path / "run")
    other = runs.config.model_copy(update={"seed": 7})
    before = content(run)
    with pytest.raises(ConfigError, match="differs from the run's in seed"):
        resume(run, other)
    assert content(run) == before


def test_more_epochs_need_the_checkpoints_of_a_finished_run(runs: Runs, tmp_path: Path) -> None:
    training = runs.config.training.model_copy(update={"epochs": 3})
    longer = runs.config.model_copy(update={"training": training})
    run = runs.copy("finished", frozenset(FILES) - {"last.npz"}, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"last\.npz is missing"):
        resume(run, longer)
    assert content(run).keys() == set(FILES) - {"last.npz"}


def test_a_damaged_best_checkpoint_is_noticed_before_training_continues(
    runs: Runs, tmp_path: Path
) -> None:
    if not runs.config.data.validation:
        return  # then last.npz is enough
    run = runs.copy("stopped", frozenset(FILES) - {"result.json"}, tmp_path / "run")
    (run / "best.npz").write_bytes((run / "best.npz").read_bytes()[:-100])
    before = content(run)
    with pytest.raises(CheckpointError, match=r"best\.npz is damaged"):
        resume(run, runs.config)
    assert content(run) == before
