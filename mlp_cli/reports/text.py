"""Results as text to read, and predictions as CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlp_cli.errors import visible
from mlp_cli.reports.classes import NARROW, shown_class
from mlp_cli.reports.tables import csv_text

if TYPE_CHECKING:
    from mlp_cli.gradcheck.check import GradientCheck
    from mlp_cli.inference.evaluation import Evaluation

WIDTH = 80  # columns


def result_text(result: dict[str, Any]) -> str:
    """Return the content of `result.json` as a few lines of text."""
    lines = {"data": visible(result["dataset"])}
    if result["test_accuracy"] is not None:
        low, high = (100 * bound for bound in result["test_error_ci95"])
        lines["test accuracy"] = (
            f"{100 * result['test_accuracy']:.2f} %, {result['test_errors']:,} errors"
        )
        lines["test error rate"] = f"{low:.2f} to {high:.2f} % at 95 % confidence"
    if result["val_accuracy"] is not None:
        lines["validation accuracy"] = (
            f"{100 * result['val_accuracy']:.2f} %, best after epoch {result['best_epoch']} of "
            f"{result['epochs']}"
        )
    lines["time"] = (
        f"{result['seconds']:.1f} s, {result['samples_per_second']:,.0f} samples/s in training"
    )
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def evaluation_text(evaluation: Evaluation) -> str:
    """Return an evaluation as text: what was scored, scores, per-class table, confusion matrix.

    Without labels, this is the number of images that were given to each class.
    """
    names = evaluation.names
    if evaluation.labels is None:
        return _predictions_text(evaluation)
    scores = evaluation.scores
    low, high = (100 * bound for bound in scores.error_ci95)
    classes = scores.per_class()
    per_class = [
        ["class", "precision", "recall", "F1", "images"],
        *(
            [
                shown_class(row["label"], names),
                *(f"{100 * row[key]:.2f} %" for key in ("precision", "recall", "f1")),
                str(row["support"]),
            ]
            for row in classes
        ),
    ]
    confusion = [
        ["", *(f"→ {shown_class(row['label'], names, NARROW)}" for row in classes)],
        *(
            [shown_class(label, names), *(str(count) if count else "." for count in row)]
            for label, row in enumerate(scores.confusion.tolist())
        ),
    ]
    return "\n".join(
        [
            *_members(evaluation),
            f"{visible(evaluation.dataset)}, {evaluation.split}: {scores.n:,} images",
            f"errors    {scores.errors:,}",
            f"accuracy  {100 * scores.accuracy:.2f} % "
            f"(error rate {low:.2f} to {high:.2f} % at 95 % confidence)",
            f"loss      {scores.loss:.4f}",
            "",
            *_table(per_class),
            "",
            "images by true class (rows) and predicted class (columns):",
            *_table(confusion),
        ]
    )


def gradcheck_text(check: GradientCheck) -> str:
    """Return a gradient check as text: shapes and errors of each layer, and the times."""
    K = check.batch_size
    table = [["layer", "δ (K, m)", "a (K, n)", "ΔW = δᵀ a (m, n)", *check.tolerance, ""]]
    rows = [(str(layer.layer), layer) for layer in check.layers]
    rows += [(f"decoder {layer.layer}", layer) for layer in check.decoder]
    for name, layer in rows:
        table.append(
            [
                name,
                *("({}, {})".format(*shape) for shape in (layer.delta, layer.a)),
                "({}, {})".format(*layer.gradient),
                *(f"{layer.errors[way]:.1e}" for way in check.tolerance),
                "WRONG" if layer.wrong else "ok",
            ]
        )
    allowed = ", ".join(f"{way} {limit:.0e}" for way, limit in check.tolerance.items())
    loop = check.loop_seconds / check.batched_seconds
    tiling = check.tiling_seconds / check.tiling_product_seconds
    return "\n".join(
        [
            *_table(table),
            f"relative errors in float64; allowed: {allowed}",
            "",
            f"forward and backward pass of {K} examples",
            f"  batched, by products   {1e3 * check.batched_seconds:10.2f} ms",
            f"  one by one, in a loop  {1e3 * check.loop_seconds:10.2f} ms   {loop:,.0f} × as long",
            f"ΔW of all layers, from δ and a of {check.tiling_examples} examples",
            f"  δᵀ a                   {1e3 * check.tiling_product_seconds:10.2f} ms",
            f"  tiling, then a sum     {1e3 * check.tiling_seconds:10.2f} ms   "
            f"{tiling:,.0f} × as long",
        ]
    )


def predictions_csv(evaluation: Evaluation) -> str:
    """Return `index,label,prediction,probability`: a line for each image, in the split's order.

    If the classes have names, `label_name,prediction_name` follow, and then
    `distortions,strength` if the answers are averaged. Without labels, what says the label is
    empty.
    """
    names, n, averaging = evaluation.names, len(evaluation.predictions), evaluation.averaging
    labels = [None] * n if evaluation.labels is None else evaluation.labels.tolist()
    head = ["index", "label", "prediction", "probability"]
    if names:
        head += ["label_name", "prediction_name"]
    if averaging is not None:
        head += ["distortions", "strength"]
    rows: list[Sequence[object]] = [head]
    columns = (labels, evaluation.predictions.tolist(), evaluation.probabilities)
    for index, (label, prediction, probability) in enumerate(zip(*columns, strict=True)):
        row: list[object] = [index, label, prediction, f"{probability:.6f}"]
        if names:
            row += [None if label is None else names[label], names[prediction]]
        if averaging is not None:
            row += [averaging.distortions, averaging.strength]
        rows.append(row)
    return csv_text(rows)


def _predictions_text(evaluation: Evaluation) -> str:
    table = [["class", "images"]]
    for label, n in enumerate(evaluation.predicted.tolist()):
        table.append([shown_class(label, evaluation.names), f"{n:,}"])
    return "\n".join(
        [
            *_members(evaluation),
            f"{visible(evaluation.dataset)}: {len(evaluation.predictions):,} images without labels",
            "",
            "images by predicted class:",
            *_table(table),
        ]
    )


def _members(evaluation: Evaluation) -> Iterator[str]:
    """Yield the lines that say which networks are scored, and from what their score is a mean."""
    members = evaluation.members
    if len(members) > 1:
        yield f"committee of {len(members)}, one score for all together:"
    for member in members:
        yield from textwrap.wrap(
            f"{visible(member.checkpoint)}: epoch {'?' if member.epoch is None else member.epoch}, "
            f"trained on {visible(member.dataset)}",
            WIDTH,
            initial_indent="  " if len(members) > 1 else "",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    if len(members) > 1:
        yield "(the mean of their log-probabilities; for single scores, give one at a time)"
    if evaluation.averaging is not None:
        yield str(evaluation.averaging)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose columns are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
