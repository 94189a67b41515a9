"""A `metrics.jsonl` that is lost or cut while a run trains is told, and does not end the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.runs import assert_same_run
from helpers.stopping import Stop, resume

from mlp_cli.config.load import load_config
from mlp_cli.errors import ConfigError, StorageError
from mlp_cli.runs import saver
from mlp_cli.training.metrics import EpochMetrics

LOST = r"metrics\.jsonl: the file was removed or shortened while this run trained"


def shorten(metrics: Path) -> None:
    metrics.write_bytes(metrics.read_bytes()[:-1])


def replace_by_shorter(metrics: Path) -> None:
    metrics.unlink()
    metrics.write_text("{}\n")


class Spoiling(Stop):
    """Does something to `metrics.jsonl` after the first epoch."""

    def __init__(self, metrics: Path, spoil: Callable[[Path], object]) -> None:
        super().__init__()
        self.metrics, self.spoil = metrics, spoil

    def epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        if metrics.epoch == 1:
            self.content = self.metrics.read_bytes()
            self.spoil(self.metrics)


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda metrics: metrics.write_text(""), shorten, replace_by_shorter]
)
def test_lost_lines_are_named_and_the_run_can_be_continued(
    spoil: Callable[[Path], object], config: Path, tmp_path: Path
) -> None:
    run, of = tmp_path / "run", load_config(config)
    observer = Spoiling(run / "metrics.jsonl", spoil)
    with pytest.raises(StorageError, match=LOST):
        resume(run, of, observer)
    (run / "metrics.jsonl").write_bytes(observer.content)
    assert resume(run, of) == (True, [])
    resume(tmp_path / "straight", of)
    assert_same_run(tmp_path / "straight", run)


def test_lines_that_are_not_put_back_are_told(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saver, "SHARE", 0)  # so that the first epoch is saved
    run, of = tmp_path / "run", load_config(config)
    with pytest.raises(StorageError, match=LOST):
        resume(run, of, Spoiling(run / "metrics.jsonl", Path.unlink))
    done, warnings = resume(run, of)
    assert done
    assert "is missing lines for epochs that were already trained" in " ".join(warnings)


def test_a_longer_file_is_that_of_another_process(config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def add(metrics: Path) -> None:
        metrics.write_bytes(2 * metrics.read_bytes())

    with pytest.raises(ConfigError, match="another process is training this run"):
        resume(run, load_config(config), Spoiling(run / "metrics.jsonl", add))
