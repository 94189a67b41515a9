"""Whatever is in the files of a run, comparing and listing runs end with a table."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from helpers.written_runs import write_run

from mlp_cli.reports.comparison import Comparison, comparison_csv, comparison_dict
from mlp_cli.reports.comparison_text import comparison_markdown, comparison_text
from mlp_cli.reports.run_list import ListEntry, run_list_text
from mlp_cli.runs.comparing import differing_keys, make_lines, sort_lines
from mlp_cli.runs.listing import RunReader, changed_settings, find_runs, last_change
from mlp_cli.storage.strict_json import to_json

NUMBERS = [b"-1", b"0", b"2", b"1e400", b"1e308", b"NaN", b"null", b"[]", b'"x"', b"9" * 400]


def show_all(folder: Path) -> list[str]:
    """Show what is in a folder in every form, and return the states of its runs."""
    found = list(find_runs([folder]))
    runs = [RunReader().read(each) for each in found]
    lines = sort_lines(make_lines(runs), "val_error")
    comparison = Comparison(lines, differing_keys(lines), None, {})
    texts = [
        comparison_text(comparison, 80),
        comparison_markdown(comparison),
        comparison_csv(comparison),
        to_json(comparison_dict(comparison)),
    ]
    entries = [
        ListEntry(run, last_change(each), changed_settings(run))
        for run, each in zip(runs, found, strict=True)
    ]
    texts += [run_list_text(entries, folder, 80), to_json([each.to_dict() for each in entries])]
    assert all(texts)
    return [run.state for run in runs]


def damaged(text: bytes, drawn: random.Random) -> bytes:
    """Return a text after a damage that a disk, an editor or another program may do."""
    place = drawn.randrange(len(text))
    digits = [i for i, byte in enumerate(text) if chr(byte).isdigit()]
    digit = drawn.choice(digits)
    return drawn.choice(
        [
            text[:place],
            text[:place] + bytes([drawn.randrange(256)]) + text[place + 1 :],
            text[:digit] + drawn.choice(NUMBERS) + text[digit + 1 :],
            text[:place] + text,
            b"\0" * len(text),
        ]
    )


@pytest.mark.long
def test_a_file_with_any_damage_gives_a_table(tmp_path: Path) -> None:
    drawn = random.Random(0)
    states = set()
    for trial in range(300):
        folder = tmp_path / str(trial)
        write_run(folder / "good", {"seed": 1}, test_errors=3)
        run = write_run(folder / "run", test_errors=30, finished=trial % 2 == 0)
        names = ["config.yaml", "metrics.jsonl"] + ["result.json"] * (trial % 2 == 0)
        file = run / drawn.choice(names)
        file.write_bytes(damaged(file.read_bytes(), drawn))
        states |= set(show_all(folder))
    assert states == {"finished", "stopped", "damaged"}


def test_figures_that_cannot_be_are_damage(tmp_path: Path) -> None:
    write_run(tmp_path / "accuracy", val_accuracy=2.0)
    for seed in (0, 1):  # the sum of the times is infinite
        write_run(tmp_path / f"time-{seed}", {"seed": seed}, seconds=1e308)
    write_run(tmp_path / "stopped", finished=False, seconds=1.7e308)
    assert show_all(tmp_path) == ["damaged"] * 4


def test_a_name_that_is_no_text_is_shown_escaped(tmp_path: Path) -> None:
    write_run(Path(os.fsdecode(os.fsencode(tmp_path / "runs") + b"/\xff")))
    assert show_all(tmp_path / "runs") == ["finished"]
