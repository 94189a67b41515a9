"""What networks say to pictures: as text, as CSV, and what they saw in characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlp_cli.data.pictures.windows import reduced
from mlp_cli.errors import MlpError, visible
from mlp_cli.inference.predict import Answer, Predictor
from mlp_cli.nn.buffers import Pixels
from mlp_cli.reports.classes import shown_class
from mlp_cli.reports.tables import csv_text

COLUMNS = ("picture", "line", "position", "prediction", "probability", "notes")
LARGEST_DRAWING = 56  # characters across
BLOCKS = " ▀▄█"  # none, the upper, the lower, both halves of a character
GREY = " .:-=+*#%@"
INK = 96  # from 0 to 255; more is drawn as a block
INDENT = "    "


def answer_text(answer: Answer) -> str:
    """Return an answer as a line: class, probability, picture, and what to know."""
    seen, name = answer.seen, visible(answer.seen.picture)
    if seen.line is not None:
        name += f" line {seen.line}, digit {seen.position}"
    names = answer.names
    if answer.prediction is None or answer.probabilities is None:
        return f"-           {name}: blank, no ink was found"
    facts = []
    if "unsure" in answer.notes:
        second = answer.ranking[1]
        facts.append(
            f"unsure, {shown_class(second, names)} has {_percent(answer.probabilities[second])}"
        )
    if "several" in answer.notes:
        facts.append(f"the largest of {seen.digits} digits; --grid reads all")
    width = max(len(shown_class(label, names)) for label in answer.ranking)
    prediction = shown_class(answer.prediction, names)
    text = f"{prediction:>{width}}  {_percent(max(answer.probabilities)):>8}  {name}"
    return ": ".join([text, "; ".join(facts)]) if facts else text


def reading_text(answers: Sequence[Answer]) -> str:
    """Return the digits of a picture as they are read, with a blank between two lines.

    Classes with longer names than a character are parted by hyphens.
    """
    lines: dict[int | None, list[str]] = {}
    for answer in answers:
        if answer.prediction is not None:
            name = shown_class(answer.prediction, answer.names)
            lines.setdefault(answer.seen.line, []).append(name)
    hyphen = "-" if any(len(name) > 1 for name in answers[0].names) else ""
    return f"{visible(answers[0].seen.picture)} reads {' '.join(map(hyphen.join, lines.values()))}"


def csv_head(predictor: Predictor) -> str:
    """Return the first line of the CSV, without its end; names of classes have a last column."""
    named = bool(predictor.names)
    return ",".join([*COLUMNS, "prediction_name"] if named else COLUMNS)


def answer_csv(answer: Answer) -> str:
    """Return an answer as a line of the CSV, without its end."""
    seen = answer.seen
    share = None if answer.probability is None else f"{answer.probability:.6f}"
    notes = " ".join(answer.notes)
    row = [seen.picture, seen.line, seen.position, answer.prediction, share, notes]
    if answer.names:
        row.append(answer.name)
    return csv_text([row]).removesuffix("\n")


def summary(
    predictor: Predictor, answers: Sequence[dict[str, Any]], failures: Sequence[MlpError]
) -> dict[str, Any]:
    """Return what JSON says: the networks, the preparation, the answers, and what was not read."""
    return {
        "networks": [
            {"checkpoint": str(model.path), "epoch": model.epoch, "dataset": model.data.name}
            for model in predictor.models
        ],
        "preparation": predictor.preparation,
        "answers": list(answers),
        "unreadable": list(map(str, failures)),
    }


def drawing(image: Pixels, encoding: str | None) -> str:
    """Return an image (height, width) in characters, each for two rows of one column.

    The characters are blocks, or shades in ASCII if the encoding has no blocks.
    """
    grey = reduced(image, LARGEST_DRAWING)
    grey = np.pad(grey, ((0, len(grey) % 2), (0, 0)))
    upper, lower = grey[::2], grey[1::2]
    if _can_show_blocks(encoding):
        characters, index = BLOCKS, (upper > INK) + 2 * (lower > INK)
    else:
        characters, index = GREY, ((upper + lower) * len(GREY) / 512).astype(np.int64)
    lines = ("".join(characters[i] for i in row) for row in index.tolist())
    return "\n".join((INDENT + line).rstrip() for line in lines)


def _can_show_blocks(encoding: str | None) -> bool:
    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
