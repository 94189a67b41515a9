"""The page of several runs: the table of `compare`, curves and keys, small also for hundreds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.pages import text_of
from helpers.written_runs import write_run

from mlp_cli.reports.page.pictures import Curve, draw_curves
from mlp_cli.reports.page.write import write_report

pytest.importorskip("jinja2", reason="needs the extra `report`")
pytest.importorskip("matplotlib", reason="needs the extra `report`")


def page_of(folder: Path) -> tuple[str, list[str]]:
    told: list[str] = []
    out = folder.parent / "page.html"
    write_report([folder], out, Path("data"), None, told.append)
    return out.read_text(), told


def drawing_of(page: str, label: str) -> str:
    """Return the drawing whose label begins with these words."""
    (drawing,) = re.findall(rf'<svg class="chart"[^>]*aria-label="{label}.*?</svg>', page, re.S)
    return str(drawing)


def paths_of(page: str, label: str) -> list[str]:
    """Return the colours of the paths in a drawing."""
    return re.findall(r'stroke="var\(--(rank\d)\)"', drawing_of(page, label))


def ends_of(page: str, label: str) -> dict[str, float]:
    """Return the heights at which the paths in a drawing end, by their colours."""
    paths = re.findall(r' ([\d.]+)"[^>]*stroke="var\(--(rank\d)\)"', drawing_of(page, label))
    return {colour: float(height) for height, colour in paths}


def test_runs_are_compared_with_the_best_first_and_coloured_by_their_errors(
    tmp_path: Path,
) -> None:
    for n, (rate, accuracy) in enumerate([(0.1, 0.9), (0.3, 0.95), (1.0, 0.6)]):
        write_run(tmp_path / f"runs/{n}", {"optimizer.learning_rate": rate}, val_accuracy=accuracy)
    page, told = page_of(tmp_path / "runs")
    text = text_of(page)
    assert not told
    assert "3 runs: 3 finished. The lowest validation error is 5.00 %." in text
    rows = [f"{n} finished {rate}" for n, rate in ((1, "0.3"), (0, "0.1"), (2, "1"))]
    assert [text.index(row) for row in rows] == sorted(text.index(row) for row in rows)
    chips = re.findall(r'class="chip".*?fill="var\(--(rank\d)\)"', page)
    assert chips == ["rank0", "rank4", "rank7"]
    # The lowest error is drawn last, on top of the others.
    assert paths_of(page, "Validation error")[-3:] == ["rank7", "rank4", "rank0"]
    assert [*ends_of(page, "Parallel coordinates")] == ["rank7", "rank4", "rank0"]
    # Each path ends at its error: the lowest is at the bottom, and SVG counts downwards.
    highest, middle, lowest = ends_of(page, "Parallel coordinates").values()
    assert highest < middle < lowest


def test_seeds_share_a_line_and_each_has_a_curve(tmp_path: Path) -> None:
    for seed in range(5):
        write_run(tmp_path / f"runs/{seed}", {"seed": seed}, val_accuracy=0.9 + seed / 100)
    page, _ = page_of(tmp_path / "runs")
    assert "0 +4 finished 5 8.00 ± 1.58" in text_of(page)
    assert len(paths_of(page, "Validation error")) == 5
    assert "Parallel coordinates" not in page


def test_damaged_and_unfinished_runs_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/good")
    write_run(tmp_path / "runs/stopped", finished=False)
    damaged = write_run(tmp_path / "runs/<b>bad")
    (damaged / "result.json").write_text("{}")
    page, told = page_of(tmp_path / "runs")
    assert len(told) == 1
    assert "<b>" not in page
    text = text_of(page)
    assert "3 runs: 1 damaged, 1 finished, 1 stopped." in text
    assert "result.json is damaged" in text


def test_runs_without_any_figure_have_a_page(tmp_path: Path) -> None:
    for n in range(2):
        write_run(tmp_path / f"runs/{n}", {"seed": n}, val_accuracy=None, epochs=1, finished=False)
    page, _ = page_of(tmp_path / "runs")
    assert 'class="chart"' not in page
    assert "2 runs: 2 stopped." in text_of(page)


def test_curves_of_very_many_epochs_are_thinned_and_keep_their_last_point() -> None:
    errors = [5.0 + epoch % 7 for epoch in range(2999)] + [1.25]
    drawn = draw_curves("many", "many", [Curve("", "rank0", range(3000), errors)] * 50)
    assert drawn.count(" L ") < 21_000
    (*_, last) = re.findall(r' d="([^"]*)"[^>]*rank0', drawn)
    heights = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", last)]
    assert heights[-1] == max(heights)  # SVG counts downwards, and 1.25 % is the lowest error
