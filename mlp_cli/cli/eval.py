"""`mlp eval`: score trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mlp_cli.cli.completion.candidates import complete_network
from mlp_cli.cli.options import (
    Choice,
    GivenPath,
    HelpfulCommand,
    data_dir_option,
    examples,
    json_option,
    option,
)
from mlp_cli.cli.printing import show, show_json
from mlp_cli.errors import CheckFailedError
from mlp_cli.storage.paths import STREAM


@click.command(
    "eval",
    cls=HelpfulCommand,
    short_help="Score trained networks.",
    epilog=examples(
        "mlp eval runs/a",
        "mlp eval runs/a/last.npz --split validation",
        "mlp eval runs/a --predictions answers.csv",
    ),
)
@click.argument(
    "checkpoints",
    nargs=-1,
    required=True,
    type=GivenPath(),
    shell_complete=complete_network,
    metavar="RUN_OR_CHECKPOINT...",
)
@option(
    "--split",
    type=Choice(["test", "validation", "train"]),
    default="test",
    show_default=True,
    help="Which images to score.",
)
@data_dir_option
@option(
    "--data-path",
    type=GivenPath(),
    metavar="PATH",
    help="Score other images of this size in their place: a file or folder, labelled or not.",
)
@option(
    "--max-error",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 if the error rate is above this.",
)
@option(
    "--predictions",
    type=GivenPath(dir_okay=False, stream=True),
    metavar="FILE.csv",
    help="Write each image's label, prediction and probability. With -, print them to stdout in "
    "place of the scores.",
)
@option(
    "--mistakes",
    type=GivenPath(dir_okay=False),
    metavar="FILE.png",
    help="Draw the misclassified images. The file may also be .pdf or .svg.",
)
@option(
    "--average",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Average the answers to N distortions of each image, like those that the network was "
    "trained with but weaker. The undistorted image is not one of them.",
)
@option(
    "--strength",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="S",
    help="Strength of these distortions: 1 is that in training, and the default is 0.25.",
)
@json_option
def evaluate(
    checkpoints: Sequence[Path],
    split: str,
    data_dir: Path,
    data_path: Path | None,
    max_error: float | None,
    predictions: Path | None,
    mistakes: Path | None,
    average: int | None,
    strength: float | None,
    as_json: bool,
) -> None:
    """Score a trained network, or several as one committee.

    A committee has one score, by the mean of the log-probabilities of its networks. To compare
    networks, use `mlp compare`.
    """
    if predictions == STREAM and as_json:
        raise click.UsageError("--predictions - and --json would both print to stdout. Give one.")
    if average is None and strength is not None:
        raise click.UsageError("--strength needs --average, the number of distortions.")

    from mlp_cli.inference.averaging import choose_averaging
    from mlp_cli.inference.evaluate import evaluate_checkpoints
    from mlp_cli.reports import text
    from mlp_cli.runs.progress import ProgressObserver
    from mlp_cli.runs.state import unfinished
    from mlp_cli.storage.files import atomic_write

    if mistakes is not None:
        from mlp_cli.reports import figures

        figures.check_picture(mistakes)
    averaging = choose_averaging(average, strength)
    with ProgressObserver() as shown:
        warn, progress = shown.warn, shown.distortions
        evaluation = evaluate_checkpoints(
            checkpoints, split, data_dir, data_path, warn, averaging, progress
        )
    if evaluation.labels is None:
        for given, name in ((max_error, "--max-error"), (mistakes, "--mistakes")):
            if given is not None:
                raise click.UsageError(
                    f"{name} needs labels, but the images of {evaluation.dataset} have none."
                )
    for reason in dict.fromkeys(map(unfinished, checkpoints)):
        if reason:
            warn(reason)
    if predictions is not None and predictions != STREAM:
        atomic_write(predictions, text.predictions_csv(evaluation).encode())
    if mistakes is not None:
        figures.draw_mistakes(mistakes, evaluation)
    if predictions == STREAM:
        show(text.predictions_csv(evaluation).removesuffix("\n"))
    elif as_json:
        show_json(evaluation.to_dict())
    else:
        show(text.evaluation_text(evaluation))
    if max_error is None:
        return
    error = 100 * evaluation.scores.errors / evaluation.scores.n
    if error > max_error:
        raise CheckFailedError(f"the error is {error:.2f} %, above --max-error {max_error:g} %.")
