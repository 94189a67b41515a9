"""`mlp predict`: classify pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click

from mlp_cli.cli.completion.candidates import complete_network
from mlp_cli.cli.options import GivenPath, HelpfulCommand, examples, json_option, option
from mlp_cli.cli.printing import show, show_json


@click.command(
    "predict",
    cls=HelpfulCommand,
    short_help="Classify pictures.",
    epilog=examples(
        "mlp predict runs/a digit.png --show",
        "mlp predict runs/a page.jpg --grid",
        "mlp predict runs/a pictures --csv",
    ),
)
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=GivenPath(stream=True),
    shell_complete=complete_network,
    metavar="RUN_OR_CHECKPOINT... IMAGE...",
)
@option("--show", "draw", is_flag=True, help="Draw what the network saw, in characters.")
@option(
    "--save-input",
    type=GivenPath(file_okay=False),
    metavar="DIR",
    help="Write what the network saw to a new folder, as PNG files.",
)
@option(
    "--raw", is_flag=True, help="Take pictures as they are: of the network's size, ink on black."
)
@option(
    "--prepare",
    is_flag=True,
    help="Prepare pictures of digits as MNIST's images were made, for a network of other data.",
)
@option("--grid", is_flag=True, help="Read all digits of a picture, line by line.")
@option("--csv", "as_csv", is_flag=True, help="Print the answers as CSV.")
@json_option
def predict(
    paths: Sequence[Path],
    draw: bool,
    save_input: Path | None,
    raw: bool,
    prepare: bool,
    grid: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Classify pictures with a trained network, or with several as one committee.

    What ends in .npz or is a run's folder is a network. All else is a picture, a file of many (.npy
    or IDX), a folder of them, or - for the standard input. A picture of a digit is prepared as
    MNIST's images were made.
    """
    if as_csv + as_json + draw > 1:
        raise click.UsageError("--csv, --json and --show exclude each other. Give one.")
    if raw and (grid or prepare):
        other = "--grid" if grid else "--prepare"
        raise click.UsageError(f"--raw and {other} exclude each other. Give one.")

    from mlp_cli.data.pictures.collection import Pictures
    from mlp_cli.inference.model import load
    from mlp_cli.inference.predict import Predictor, networks_and_pictures
    from mlp_cli.reports import answers as shown
    from mlp_cli.reports.inputs import InputFolder
    from mlp_cli.runs.progress import ProgressObserver

    networks, images = networks_and_pictures(paths)
    warn = ProgressObserver().warn
    predictor = Predictor(
        [load(network) for network in networks], raw=raw, prepare=prepare, grid=grid
    )
    if predictor.remark:
        warn(predictor.remark)
    folder = None if save_input is None else InputFolder(save_input)
    pictures = Pictures(images, warn)
    answers = predictor.answers(pictures, pictures.fail)
    kept = []
    if as_csv:
        show(shown.csv_head(predictor))
    for _, of_picture in groupby(answers, lambda answer: answer.seen.picture):
        found = list(of_picture)
        for answer in found:
            if folder is not None:
                folder.add(answer.seen)
            if as_csv:
                show(shown.answer_csv(answer))
            elif as_json:
                kept.append(answer.to_dict())
            else:
                show(shown.answer_text(answer))
            if draw and answer.seen.image is not None:
                show(shown.drawing(answer.seen.image, sys.stdout.encoding))
        if grid and not as_csv and not as_json and found[0].prediction is not None:
            show(shown.reading_text(found))
    if as_json:
        show_json(shown.summary(predictor, kept, pictures.failures))
    pictures.check()
