"""Whatever value the JSON of a run holds, there is no traceback and nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.own_images import write_own_images
from helpers.runs import assert_same_run, records
from helpers.selection import few
from helpers.stopping import Stop, resume
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp_cli.api import Run
from mlp_cli.config.load import from_dict
from mlp_cli.errors import ConfigError, MlpError

NAMES = ["result.json", "metrics.jsonl", "env.json", "divergence.json"]
RESULT = {
    "dataset": "mnist", "epochs": 2, "best_epoch": 1, "val_accuracy": 0.5, "test_accuracy": 0.5,
    "test_errors": 1, "test_error_ci95": [0.25, 0.75], "at_chance": None, "seconds": 1.5,
    "samples_per_second": 10,
}  # fmt: skip
LINE = {
    "epoch": 1, "step": 6, "learning_rate": 0.1, "train_loss": 1.0, "train_accuracy": 0.5,
    "val_loss": 1.0, "val_accuracy": 0.5, "samples_per_second": 10.0, "seconds": 1,
}  # fmt: skip
TEXTS = [
    "", "5", "null", "[]", "{}", "true", '"text"', "[" * 100_000, '{"a":' * 100_000, "NaN", "{",
    '{"epoch": 1}', '{"epoch": true}', '{"epochs": 2}', "\x00", "9" * 5000, "1e999", '"\\ud800"',
]  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def damaged(whole: dict[str, Any]) -> st.SearchStrategy[str]:
    """JSON of any value, or of a whole record in which a field has any value or is missing."""
    changed = st.builds(lambda key, value: whole | {key: value}, st.sampled_from([*whole]), JSON)
    missing = st.sampled_from([*whole]).map(lambda key: {k: whole[k] for k in whole if k != key})
    return (JSON | changed | missing).map(json.dumps)


class Runs:
    """A run that is finished, and one that was stopped after the first of two epochs."""

    def __init__(self, parent: Path) -> None:
        data = {"path": str(write_own_images(parent, 4, 5, classes=3, train=60)), "validation": 15}
        training = {"epochs": 2, "batch_size": 8}
        settings = {"data": data, "model": {"hidden": [5]}, "training": training}
        self.parent, self.config = parent, from_dict(settings, "the test")
        self.finished, self.stopped = parent / "finished", parent / "stopped"
        resume(self.finished, self.config)
        resume(self.stopped, self.config, Stop(epochs=1))

    def copy(self, of: Path, name: str, text: str) -> Path:
        """Copy a run, with this text in one of its files."""
        run = self.parent / "copy"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(of, run)
        (run / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


def check(runs: Runs, name: str, text: str) -> None:
    """Check that a run is resumed, whatever one of its files holds."""
    run = runs.copy(runs.finished if name == "result.json" else runs.stopped, name, text)
    readable = True
    try:
        _ = Run(run).result, Run(run).metrics
    except MlpError as error:
        readable = False
        assert f"{name}" in str(error)
        assert "damaged" in str(error)
    finished, warnings = resume(run, runs.config)
    assert finished
    if name == "result.json" and readable:
        assert warnings == []  # it is a result like any other
        return
    if name == "metrics.jsonl":
        lines = records(run)
        assert [line["epoch"] for line in lines] in ([1, 2], [2])
        if len(lines) == 1:
            assert "is missing lines" in warnings[0]
        shutil.copy(runs.finished / name, run)
    elif name == "result.json":
        assert f"{name} is damaged: " in warnings[0]
        assert "written again" in warnings[0]
    assert_same_run(run, runs.finished)
    assert len(Run(run).metrics) == 2
    assert isinstance(json.loads((run / "env.json").read_text()), dict)
    assert not (run / "divergence.json").exists()


@pytest.mark.parametrize("text", few(TEXTS, 3), ids=lambda text: text[:10])
@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_resumed_whatever_a_record_holds(name: str, text: str, runs: Runs) -> None:
    check(runs, name, f"{text}\n")


@pytest.mark.long
@pytest.mark.parametrize("name", few(NAMES, 2))
def test_a_run_is_resumed_after_any_damage(name: str, runs: Runs) -> None:
    whole = LINE if name == "metrics.jsonl" else RESULT

    @settings(max_examples=25, derandomize=True)
    @given(damaged(whole))
    def any_damage(text: str) -> None:
        check(runs, name, f"{text}\n")

    any_damage()


@pytest.mark.parametrize("key", RESULT)
@pytest.mark.parametrize("value", [True, -1, "1", [1], {}, [0.1, None]])
def test_a_field_of_a_result_has_its_type(key: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(RESULT))
    assert Run(tmp_path).result == RESULT
    if (key, value) in [("dataset", "1"), ("at_chance", True)]:
        return
    (tmp_path / "result.json").write_text(json.dumps(RESULT | {key: value}))
    with pytest.raises(MlpError, match=f"it has {key} = "):
        _ = Run(tmp_path).result


@pytest.mark.parametrize("value", [True, -1, "1", [1], {}])
@pytest.mark.parametrize("key", LINE)
def test_a_field_of_a_line_of_metrics_has_its_type(key: str, value: Any, tmp_path: Path) -> None:
    lines = [json.dumps(LINE), json.dumps(LINE | {key: value}), ""]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    with pytest.raises(MlpError, match=rf"metrics\.jsonl, line 2 is damaged: it has {key} = "):
        _ = Run(tmp_path).metrics


def test_a_last_line_that_a_kill_cut_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps(LINE) + '\n{"epoch": 2, "st')
    assert Run(tmp_path).metrics == [LINE]


@pytest.mark.parametrize("text", ["5", "{}", "[", "null"])
def test_a_damaged_result_without_its_checkpoint_is_refused(text: str, runs: Runs) -> None:
    run = runs.copy(runs.finished, "result.json", text)
    (run / "last.npz").unlink()
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(ConfigError, match=r"last\.npz is missing.* --overwrite"):
        resume(run, runs.config)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
