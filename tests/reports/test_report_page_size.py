"""Pages are small, and made in a moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.written_runs import write_run

import mlp_cli
from mlp_cli.reports.page.write import write_report

pytest.importorskip("jinja2", reason="needs the extra `report`")
pytest.importorskip("matplotlib", reason="needs the extra `report`")
pytestmark = [pytest.mark.long, pytest.mark.serial]

MOST_BYTES = 3_000_000
MOST_SECONDS = 10.0  # 5 s on a quiet machine


def page_of(paths: Sequence[Path], out: Path) -> str:
    """Return a page after checking its size, and the time that it took."""
    started = time.monotonic()
    write_report(paths, out, Path("data"), None, lambda _: None)
    assert time.monotonic() - started < MOST_SECONDS
    assert out.stat().st_size < MOST_BYTES
    return out.read_text()


def test_a_run_of_the_usual_network_has_a_small_page_at_once(tmp_path: Path) -> None:
    set_ = {"data.dataset": "synthetic", "model.hidden": [512, 256], "training.epochs": 1}
    run = mlp_cli.train({}, out=tmp_path / "run", set=set_).path
    assert "The worst mistakes" in page_of([run], tmp_path / "page.html")


@pytest.mark.parametrize("n", [5, 210])
def test_a_sweep_has_a_small_page_at_once(n: int, tmp_path: Path) -> None:
    for number in range(n):
        changes = {
            "optimizer.learning_rate": 0.001 * 1.03**number,
            "optimizer.momentum": number % 10 / 10,
            "model.hidden": [128 * (1 + number % 3)],
            "regularisation.dropout": number % 7 / 10,
        }
        write_run(tmp_path / f"sweep/trials/{number}/seed-0", changes,
                  val_accuracy=0.9 + number / 3000, epochs=300)  # fmt: skip
    page = page_of([tmp_path / "sweep"], tmp_path / "page.html")
    assert page.count("finished</td>") == min(n, 200)
    assert ("Only the first 200 of 210 lines are here." in page) == (n == 210)
