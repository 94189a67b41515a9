"""The pictures of a page: charts as SVG in the page's colours, and images as PNG in data URIs."""

from __future__ import annotations

import io
import math
import warnings
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlp_cli.nn.buffers import Array
from mlp_cli.reports.comparison_figures import draw_coordinates
from mlp_cli.reports.page.svg import inline_svg
from mlp_cli.runs.comparing import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_SIDE = 64  # pixels of an image; larger ones are drawn with every second pixel, or fewer
MOST_POINTS = 20_000  # of all curves in a chart
LARGEST = 1e30  # number on an axis; beyond it, Matplotlib overflows
SIZE = 10.5  # of text, in points
WIDTH, HEIGHT = 4.2, 2.7  # inches of a chart, which is about as wide as a phone
AXIS_WIDTH = 1.0  # inches of one axis of the parallel coordinates
RANKS = 8  # colours from the lowest error to the highest

# Colours that stand for those of the page, whose names the style sheet has.
COLOURS = {
    name: f"#0101{number:02x}"
    for number, name in enumerate(
        ["ink", "muted", "line", "first", "second", *(f"rank{rank}" for rank in range(RANKS))], 1
    )
}
BLUE, ORANGE = (0.15, 0.45, 0.85), (0.85, 0.4, 0.1)  # of weights below and above 0


class Curve(NamedTuple):
    """A line of a chart: its label, "" for none, the name of its colour, and its points."""

    label: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]


class Point(NamedTuple):
    """A measured share with its 95 % interval, and the share that was predicted."""

    predicted: float
    found: float
    low: float
    high: float


def draw_curves(
    name: str,
    label: str,
    curves: Sequence[Curve],
    *,
    mark: tuple[float, float] | None = None,
    linear: bool = False,
) -> str:
    """Draw curves over the epochs; `mark` is a point to mark. See `inline_svg` for name and label.

    The axis is logarithmic if the values spread over more than a factor of 10, unless `linear`.
    """

    def draw(axes: Axes) -> None:
        step = math.ceil(sum(len(curve.x) for curve in curves) / MOST_POINTS)
        values = [np.clip(curve.y, -LARGEST, LARGEST) for curve in curves]
        for curve, of in zip(curves, values, strict=True):
            x, y = _thinned(curve.x, step), _thinned(of, step)
            axes.plot(x, y, color=COLOURS[curve.colour], label=curve.label or None,
                      linewidth=1.6 if len(curves) <= 2 else 1, solid_capstyle="round",
                      marker="o" if len(x) == 1 else None, markersize=3)  # fmt: skip
        if mark is not None:
            axes.plot(*mark, "o", color=COLOURS["ink"], markersize=4)
        low, high = min(of.min() for of in values), max(of.max() for of in values)
        if not linear and low > 1 / LARGEST and high > 10 * low:
            _make_logarithmic(axes)
        else:
            axes.set_ylim(bottom=0)
        if any(curve.label for curve in curves):
            axes.legend(frameon=False, labelcolor=COLOURS["ink"])
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")

    return _chart(name, label, draw, WIDTH, HEIGHT)


def draw_reliability(name: str, label: str, points: Sequence[Point]) -> str:
    """Draw the shares that were right over the probabilities that the network gave, in percent."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=COLOURS["muted"], linewidth=1, linestyle=(0, (3, 3)))
        for point in points:
            x = 100 * point.predicted
            axes.plot([x, x], [100 * point.low, 100 * point.high], color=COLOURS["first"],
                      linewidth=1)  # fmt: skip
            axes.plot([x], [100 * point.found], "o", color=COLOURS["first"], markersize=4)
        axes.set(xlabel="probability of the answer, %", ylabel="right, %", xlim=(0, 102),
                 ylim=(0, 102))  # fmt: skip

    return _chart(name, label, draw, WIDTH, HEIGHT)


def draw_parallel(
    name: str, label: str, lines: Sequence[Line], keys: Sequence[str], colours: Sequence[str]
) -> str:
    """Draw lines as paths across an axis for each key; `colours` has a name for each line."""

    def draw(axes: Axes) -> None:
        shown = [COLOURS[colour] for colour in colours]
        draw_coordinates(axes, lines, keys, shown, SIZE - 1)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.grid(visible=False)

    return _chart(name, label, draw, max(WIDTH, AXIS_WIDTH * (len(keys) + 2)), HEIGHT)


def grey_image(image: Array) -> str:
    """Return an image (height, width), from 0 (black) to 1 (white), as a data URI."""
    return _data_uri(np.asarray(image))


def weight_image(weights: Array) -> str:
    """Return weights (height, width) as a data URI: blue below 0, orange above, clear at 0."""
    share = weights / (np.abs(weights).max() or 1)
    colour = np.where(share[..., None] < 0, BLUE, ORANGE)
    return _data_uri(np.concatenate([colour, np.abs(share)[..., None]], axis=2))


def _data_uri(image: Array) -> str:
    from matplotlib.image import imsave  # the import is slow, and needs the extra

    step = math.ceil(max(image.shape[:2]) / LONGEST_SIDE)
    file = io.BytesIO()
    imsave(file, np.ascontiguousarray(image[::step, ::step]), format="png", cmap="gray", vmin=0,
           vmax=1, metadata={"Software": None})  # fmt: skip
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def _chart(
    name: str, label: str, draw: Callable[[Axes], object], width: float, height: float
) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    ink, muted, line = COLOURS["ink"], COLOURS["muted"], COLOURS["line"]
    style: dict[str, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": name, "font.size": SIZE, "text.color": ink,
        "axes.edgecolor": line, "axes.labelcolor": muted, "xtick.color": line, "ytick.color": line,
        "xtick.labelcolor": muted, "ytick.labelcolor": muted, "axes.facecolor": "none",
        "figure.facecolor": "none", "savefig.facecolor": "none", "axes.grid": True,
        "axes.grid.axis": "y", "grid.color": line, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False,
    }  # fmt: skip
    drawn = io.StringIO()
    with rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the font lacks a character of a name
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    colours = {of: colour for colour, of in COLOURS.items()}
    return inline_svg(drawn.getvalue(), name, label, colours)


def _make_logarithmic(axes: Axes) -> None:
    """Give an axis powers of ten, with plain numbers: others would be formulas."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _thinned(values: Sequence[float] | Array, step: int) -> list[float]:
    """Return every `step`-th value, and the last one."""
    return [*values[: -1 : max(1, step)], values[-1]]
