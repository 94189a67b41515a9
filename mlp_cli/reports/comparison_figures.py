"""A picture of a comparison: learning curves, parallel coordinates, and which key mattered.

It has one panel below the other, as .png, .pdf or .svg, and needs the extra `plot`. Which key
mattered needs the extra `sweep` too.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp_cli.errors import StorageError, visible
from mlp_cli.reports import importance
from mlp_cli.reports.comparison import Comparison, value_text
from mlp_cli.runs.comparing import Line, short_key
from mlp_cli.runs.records import read_metrics
from mlp_cli.storage.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 200  # lines that are drawn: the first of the table
NAMED = 10  # curves, up to which each is named
WIDTH, HEIGHT = 9.0, 3.2  # inches of a panel
DOTS = 150  # per inch


def draw_comparison(path: Path, comparison: Comparison, warn: Callable[[str], object]) -> None:
    """Draw the lines of a comparison; `warn` is told what is left out, and why.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure  # the import is slow, and needs the extra

    lines = comparison.lines[:MOST]
    if len(comparison.lines) > MOST:
        warn(f"{path}: only the first {MOST} of {len(comparison.lines):,} lines are drawn.")
    scored = [line for line in comparison.lines if line.val_error and line.state == "finished"]
    keys = [key for key in comparison.keys if key != "seed"]
    shares = _importances(scored, keys, warn) if keys else None
    panels = 1 + bool(keys) + bool(shares)
    figure = Figure(figsize=(WIDTH, HEIGHT * panels), layout="constrained")
    axes = figure.subplots(panels, squeeze=False)[:, 0]
    _draw_curves(axes[0], lines)
    if keys:
        known = [line for line in lines if line.val_error is not None]
        draw_coordinates(axes[1], known, keys, _colours(len(known)))
        axes[1].set(title="Keys and error (dark: first in the table)")
    if shares:
        _draw_shares(axes[2], shares)
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the font lacks a character of a name
        figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=DOTS)
    atomic_write(path, drawn.getvalue())


def _importances(
    scored: Sequence[Line], keys: Sequence[str], warn: Callable[[str], object]
) -> dict[str, float] | None:
    if not importance.is_installed():
        warn(importance.MISSING)
        return None
    settings = [
        {key: line.first.config[key] for key in keys if key in line.first.config} for line in scored
    ]
    errors = [line.val_error.rate for line in scored if line.val_error is not None]
    shares = importance.importances(settings, errors)
    if shares is None:
        warn(
            f"which key mattered is not drawn: it takes {importance.FEWEST} finished lines "
            "with a validation error, and keys that all of them have."
        )
    return shares


def _draw_curves(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw the validation error of each run by epoch; the runs of a line have one colour."""
    colours = _colours(len(lines))
    for rank, line in enumerate(lines):
        label = _label(str(line.first.path)) if len(lines) <= NAMED else None
        for run in line.runs:
            try:
                records = read_metrics(run.path / "metrics.jsonl")
            except StorageError:  # the table says that the run is damaged
                continue
            curve = [
                (record["epoch"], 100 * (1 - record["val_accuracy"]))
                for record in records
                if record["val_accuracy"] is not None
            ]
            if curve:
                marker = "." if len(curve) == 1 else None
                axes.plot(*zip(*curve, strict=True), color=colours[rank], marker=marker,
                          linewidth=1, label=label)  # fmt: skip
                label = None
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epoch", ylabel="validation error, %", title="Learning curves")


def draw_coordinates(
    axes: Axes, lines: Sequence[Line], keys: Sequence[str], colours: Sequence[Any], size: float = 6
) -> None:
    """Draw each line as a path across one axis for each key, and one for the error.

    All lines have a validation error. `colours` has one for each of them, and `size` is that of the
    text, in points.
    """
    errors = [100 * line.val_error.rate for line in lines if line.val_error is not None]
    columns = [[line.first.config.get(key) for line in lines] for key in keys]
    scaled = [*map(_scaled, columns), _scaled(errors)]
    places = np.arange(len(scaled))
    for line, colour in zip(zip(*(heights for heights, _ in scaled), strict=True),
                            colours, strict=True):  # fmt: skip
        axes.plot(places, line, color=colour, linewidth=0.8, alpha=0.7)
    for place, (_, ticks) in zip(places, scaled, strict=True):
        axes.axvline(place, color="0.7", linewidth=0.8)
        for height, text in ticks.items():
            axes.text(place, height, f" {_label(text)}", fontsize=size, va="center")
    names = [*map(short_key, keys), "validation\nerror, %"]
    axes.set_xticks(places, names, fontsize=size + 1, rotation=30 if len(names) > 8 else 0)
    axes.set_yticks([])
    axes.set(xlim=(-0.1, places[-1] + 0.5))


def _scaled(column: Sequence[Any]) -> tuple[list[float], Mapping[float, str]]:
    """Return the heights of values on an axis from 0 to 1, and the texts of some heights.

    A value that is missing has the height NaN, which leaves a gap.
    """
    there = [value for value in column if value is not None]
    if not there:
        return [np.nan] * len(column), {}
    if importance.is_numeric(there):
        scale = np.log if importance.is_logarithmic(there) else np.asarray
        low, high = scale(float(min(there))), scale(float(max(there)))
        span = float(high - low) or 1.0
        ends = {float(value): f"{value:.4g}" for value in (min(there), max(there))}
        heights = {value: float(scale(value) - low) / span for value in {*map(float, there)}}
        texts = {heights[value]: text for value, text in ends.items()}
        return [np.nan if v is None else heights[float(v)] for v in column], texts
    names = sorted({value_text(value) for value in there})
    choices = {name: n / max(1, len(names) - 1) for n, name in enumerate(names)}
    texts = {height: name[:20] for name, height in choices.items()}
    return [np.nan if v is None else choices[value_text(v)] for v in column], texts


def _draw_shares(axes: Axes, shares: Mapping[str, float]) -> None:
    names = list(shares)[::-1]
    axes.barh([short_key(name) for name in names], [shares[name] for name in names])
    axes.tick_params(labelsize=7)
    axes.set(xlabel="share", title="Which key mattered (PED-ANOVA, best tenth against all)")


def _label(text: str) -> str:
    return visible(text).replace("$", r"\$")  # between two $, Matplotlib reads a formula


def _colours(n: int) -> list[tuple[float, ...]]:
    """Return n colours, from dark to light."""
    from matplotlib import colormaps

    return [tuple(colormaps["viridis"](0.9 * rank / max(1, n - 1))) for rank in range(n)]
