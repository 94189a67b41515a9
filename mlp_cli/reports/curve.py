"""A small learning curve in block characters, for the end of a training on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlp_cli.runs.colour import BLOCKS

HEIGHT = 4  # lines
WIDEST = 48  # columns of the curve
WIDEST_BAR = 4  # columns of an epoch
LABEL = 10  # columns of the figures beside it


def error_curve(records: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return the validation error by epoch as bars in `width` columns; without it, the training's.

    If there are more epochs than columns, a bar is the mean of several. It is "" for less than two
    epochs.
    """
    name = "val" if all(record["val_accuracy"] is not None for record in records) else "train"
    errors = [100 * (1 - record[f"{name}_accuracy"]) for record in records]
    columns = min(WIDEST, width - LABEL)
    if len(errors) < 2 or columns < 2:
        return ""
    each = -(-len(errors) // columns)
    groups = [errors[start : start + each] for start in range(0, len(errors), each)]
    means = [sum(group) / len(group) for group in groups]
    low, high = min(means), max(means)
    height = HEIGHT if high > low else 1
    eighths = [1 + round((8 * height - 1) * (m - low) / (high - low or 1)) for m in means]
    bar = min(WIDEST_BAR, columns // len(means))
    lines = [f"{'validation' if name == 'val' else 'training'} error, epochs 1 to {len(errors):,}"]
    labels = {height - 1: f"{high:.2f} %", 0: f"{low:.2f} %"}
    for row in range(height - 1, -1, -1):
        bars = (bar * BLOCKS[min(8, max(0, of - 8 * row))] for of in eighths)
        lines.append(f"{labels.get(row, ''):<{LABEL}}{''.join(bars)}".rstrip())
    return "\n".join(lines)
