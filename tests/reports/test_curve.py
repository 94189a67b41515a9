"""The small learning curve of a terminal."""

from __future__ import annotations

import io

import pytest

from mlp_cli.reports.curve import error_curve
from mlp_cli.runs.colour import BLOCKS, shows_blocks


def curve(errors: list[float], width: int = 80, *, validated: bool = True) -> list[str]:
    """Return the lines for these errors in percent."""
    records = [
        {
            "train_accuracy": 0.5 if validated else 1 - error / 100,
            "val_accuracy": 1 - error / 100 if validated else None,
        }
        for error in errors
    ]
    return error_curve(records, width).splitlines()


def test_each_epoch_is_a_bar_between_the_lowest_and_the_highest_error() -> None:
    assert curve([31.0, 17.0, 9.0, 0.0]) == [
        "validation error, epochs 1 to 4",
        "31.00 %   ████",
        "          ████▂▂▂▂",
        "          ████████▂▂▂▂",
        "0.00 %    ████████████▁▁▁▁",
    ]


def test_many_epochs_are_means_in_few_columns() -> None:
    lines = curve([float(error) for error in range(1000, 0, -1)])
    assert lines[0] == "validation error, epochs 1 to 1,000"
    assert max(map(len, lines)) <= 58
    assert len(lines[-1]) >= 50
    assert lines[1].startswith("990.00 %  █")  # the mean of the first 21


@pytest.mark.parametrize("width", [12, 20, 40, 60, 200])
@pytest.mark.parametrize("epochs", [2, 3, 47, 48, 49, 500])
def test_a_curve_fits_the_terminal(epochs: int, width: int) -> None:
    lines = curve([100 / epoch for epoch in range(1, epochs + 1)], width)
    assert all(len(line) <= width for line in lines[1:])
    assert len(lines) == 5


def test_equal_errors_are_one_line_of_low_bars() -> None:
    assert curve([3.0, 3.0])[1:] == ["3.00 %    ▁▁▁▁▁▁▁▁"]


def test_without_validation_the_curve_is_of_the_training() -> None:
    assert curve([9.0, 1.0], validated=False)[0] == "training error, epochs 1 to 2"


@pytest.mark.parametrize(("errors", "width"), [([], 80), ([1.0], 80), ([2.0, 1.0], 11)])
def test_there_is_no_curve_of_one_epoch_or_without_room(errors: list[float], width: int) -> None:
    assert curve(errors, width) == []


class Terminal(io.StringIO):
    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.name_of_encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.name_of_encoding

    def isatty(self) -> bool:
        return True


def test_only_a_screen_with_these_characters_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert len(BLOCKS) == 9
    assert shows_blocks(Terminal("utf-8"))
    assert not shows_blocks(Terminal("ascii"))
    assert not shows_blocks(Terminal("iso-8859-1"))
    assert not shows_blocks(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not shows_blocks(Terminal("utf-8"))
