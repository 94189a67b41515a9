"""Tables fit into a width, and keep what they must."""

from __future__ import annotations

import csv
import io

import pytest

from mlp_cli.reports.tables import Column, csv_text, fitted_table, markdown_table

COLUMNS = [
    Column("run", ["runs/rate-0.1-width-512", "b"], 8, is_number=False),
    Column("key", ["[512, 256, 128, 64]", "[3]"], 8, may_go=True),
    Column("other", ["1", "2"], may_go=True),
    Column("error", ["1.25 (1.00–1.50)", "0.75 ± 0.10"]),
]


def test_a_table_that_fits_is_not_shortened() -> None:
    lines, left_out = fitted_table(COLUMNS, 80)
    assert left_out == []
    assert lines == [
        "run                                      key  other             error",
        "runs/rate-0.1-width-512  [512, 256, 128, 64]      1  1.25 (1.00–1.50)",
        "b                                        [3]      2       0.75 ± 0.10",
    ]


def test_long_cells_are_shortened_before_a_column_is_left_out() -> None:
    lines, left_out = fitted_table(COLUMNS, 60)
    assert left_out == []
    assert [len(line) for line in lines] == [60, 60, 60]
    assert lines[1] == "runs/…-width-512  [512,…6, 128, 64]      1  1.25 (1.00–1.50)"


def test_columns_are_left_out_from_the_last_that_may_go() -> None:
    assert fitted_table(COLUMNS, 38)[1] == ["other"]
    assert fitted_table(COLUMNS, 30)[1] == ["key", "other"]


@pytest.mark.parametrize("width", range(26, 90))
def test_no_line_is_wider_than_the_table_may_be(width: int) -> None:
    assert max(map(len, fitted_table(COLUMNS, width)[0])) <= width


def test_what_must_stay_is_kept_even_if_it_is_too_wide() -> None:
    lines, _ = fitted_table(COLUMNS, 5)
    assert lines[1] == "ru…h-512  1.25 (1.00–1.50)"


def test_no_cell_can_control_the_terminal_or_break_a_table() -> None:
    columns = [Column("a|b", ["x\x1b[2J\n|y"], is_number=False)]
    assert fitted_table(columns, 80)[0] == ["a|b", "x\\x1b[2J\\n|y"]
    assert markdown_table(columns) == "| a\\|b |\n| --- |\n| x\\x1b[2J\\n\\|y |"


def test_csv_keeps_numbers_and_escapes_text() -> None:
    text = csv_text([["run", "p"], ['a,"b"\n', 1e-20], ["c", None]])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [["run", "p"], ['a,"b"\\n', "1e-20"], ["c", ""]]
